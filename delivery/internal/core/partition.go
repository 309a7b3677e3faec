package core

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// hastenWithin is how soon rows are tried that nobody is blamed for when a breaker has closed.
const hastenWithin = 2 * time.Second

// Partition is one queue of a subscription, in the hands of its owner.
type Partition struct {
	c Config
	b *Breaker

	cursor, read, readTo int64
	// window has the events above the cursor in memory, in order of position: the lowest is fresh. Those
	// below scan had their turn: if they are fresh still they are found by their key.
	window window
	bytes  int // of those that are fresh
	scan   uint64
	lines  map[string]*line
	late   lineHeap[byLate] // lines whose next event is fresh and below scan
	due    lineHeap[byDue]  // lines whose first event is a row that may be tried
	ready  int              // lines that are free and begin with a fresh event

	// now is when an attempt was last asked for or ended: rows that may be tried at once take turns by it, key after key.
	now time.Time

	// rows has all rows that are not dead, and those dead that the database does not know yet or that hold
	// their key; parked counts the former.
	rows   map[int64]*event
	parked int

	// Since the last move that was sent: rows at or below the frontier that are new or have changed, and
	// those written that are gone. Moves counts moves that were sent.
	dirty     []*event
	removed   []int64
	sent      []*event // of the move under way: rows that are dead
	matched   int64    // events that matched at or below the frontier, and delivered
	delivered int64
	moved     struct{ matched, delivered int64 } // what the database knows of them
	accepted  int64
	moves     uint64
	moving    bool

	flights   []*Attempt
	retries   int // of flights
	lastRetry bool
	stuck     int
	open      *Attempt // a batch that waits for more
	openBytes int
	openUntil time.Time
	splits    []*split
	serial    uint64
	suspect   suspect

	closings uint64 // of the breaker, as seen
	opening  uint64
	// asks counts probes, opened are those before the breaker opened, round those before all keys were asked last.
	asks, opened, round uint64
	halt                *Halt
	draining, lost      bool

	chunk        int // how many events were allocated last
	freeEvents   []*event
	freeLines    []*line
	freeAttempts []*Attempt
}

// NewPartition returns a partition as a new owner takes it: at a cursor, with all its rows that are not dead,
// in any order, and under Config.Hold the dead ones too.
func NewPartition(c Config, b *Breaker, cursor int64, rows []Row) *Partition {
	p := &Partition{c: c, b: b, cursor: cursor, read: cursor, readTo: math.MaxInt64,
		lines: make(map[string]*line), rows: make(map[int64]*event), closings: b.closings.Load()}
	since := b.mark()
	rows = slices.Clone(rows)
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.Position, b.Position) })
	for _, r := range rows {
		if r.State == Dead && !c.Hold {
			continue
		}
		ev := p.eventOf(r)
		ev.since = since
		p.lineOf(r.Key).insert(ev)
		p.rows[r.Position] = ev
		if ev.state == parked {
			p.parked++
		}
	}
	for _, r := range rows { // not the lines: a map has no order, and runs are to repeat
		if l := p.lines[r.Key]; l != nil {
			p.free(l)
		}
	}
	return p
}

func (p *Partition) eventOf(r Row) *event {
	ev := p.newEvent()
	ev.position, ev.key, ev.state, ev.passed, ev.written = r.Position, r.Key, parked, true, true
	ev.attempts, ev.charged, ev.failures = int32(r.Attempts), int32(r.Charged), int32(r.Charged)
	ev.tried = r.Attempts > 0 || r.Redrive || !r.LastFailed.IsZero()
	ev.trouble = &trouble{next: r.NextAttempt, first: r.FirstFailed, last: r.LastFailed, died: r.DeadAt, class: r.Class, error: r.Error, redrive: r.Redrive}
	switch r.State {
	case Dead:
		ev.state = dead
	case Waiting:
		ev.failed = true
		ev.delayed = r.Attempts == 0 && !r.LastFailed.IsZero() // what has failed has had an attempt
	}
	return ev
}

// Read returns up to which position it has read: what it wants next is behind it.
func (p *Partition) Read() int64 { return p.read }

// Cursor returns the cursor that the database has.
func (p *Partition) Cursor() int64 { return p.cursor }

// ReadTo makes it read no further than a position; it is there when Cursor is.
func (p *Partition) ReadTo(position int64) { p.readTo = position }

// Wants reports whether it is worth reading for: half of its window is free, and a place for rows. At the head
// of the log one offers what comes all the same, see Offer.
func (p *Partition) Wants() bool {
	return p.reads() && !p.isHalfFull(p.used())
}

// isHalfFull reports whether so many events, or their bytes, take more than half of the window.
func (p *Partition) isHalfFull(events int) bool {
	return events > p.c.Window/2 || p.c.WindowBytes > 0 && p.bytes > p.c.WindowBytes/2
}

// hasRoom reports whether the window has room for an event.
func (p *Partition) hasRoom(size int) bool {
	return p.used() < p.c.Window && (p.c.WindowBytes == 0 || p.bytes == 0 || p.bytes+size <= p.c.WindowBytes)
}

func (p *Partition) reads() bool {
	return !p.stopped() && !p.draining && p.read < p.readTo && p.parked < p.c.MaxParked
}

func (p *Partition) stopped() bool { return p.lost || p.halt != nil }

// used returns how many matching events are between the cursor in the database and what was read.
func (p *Partition) used() int { return int(p.accepted - p.moved.matched) }

// Offer takes all events that match from Read on, up to a position, in order. What it has read is dropped; so is
// what it has no room for: Read says how far it came, and it is to be offered the rest again.
func (p *Partition) Offer(items []Item, upto int64) {
	if !p.reads() {
		return
	}
	upto = min(upto, p.readTo)
	for i := range items {
		it := &items[i]
		if it.Position <= p.read {
			continue
		}
		if it.Position > upto {
			break
		}
		if !p.hasRoom(it.Size) || p.parked >= p.c.MaxParked {
			p.read = it.Position - 1
			p.advance()
			return
		}
		p.accept(it)
		p.read = it.Position
	}
	p.read = max(p.read, upto)
	p.advance()
}

func (p *Partition) accept(it *Item) {
	ev := p.newEvent()
	ev.position, ev.key, ev.size, ev.value = it.Position, it.Key, it.Size, it.Event
	l := p.lines[it.Key]
	fresh := l == nil
	if fresh {
		l = p.addLine(it.Key)
	}
	p.accepted++
	p.bytes += ev.size
	ev.index = p.window.push(ev)
	l.push(ev)
	switch {
	case fresh:
		p.setReady(l, true)
	case !l.holds():
		p.park(ev)
	}
}

// advance moves the frontier over what is settled.
func (p *Partition) advance() {
	for p.window.len() > 0 {
		ev := p.window.at(p.window.head)
		if ev.state == fresh {
			return
		}
		p.window.head++
		p.scan = max(p.scan, p.window.head)
		p.matched++
		ev.passed = true
		switch ev.state {
		case done:
			p.delivered++
			p.recycle(ev)
		case gone:
			p.recycle(ev)
		default:
			p.touch(ev)
		}
	}
}

// frontier returns the highest position with nothing undone at or below it.
func (p *Partition) frontier() int64 {
	if p.window.len() == 0 {
		return p.read
	}
	return p.window.at(p.window.head).position - 1
}

// touch notes that the database is to be told of a row, which it may be once the cursor has passed it.
func (p *Partition) touch(ev *event) {
	if ev.passed && !ev.dirty {
		ev.dirty = true
		p.dirty = append(p.dirty, ev)
	}
}

// park makes a row of a fresh event.
func (p *Partition) park(ev *event) {
	if ev.state == fresh {
		ev.line.fresh--
		ev.line.rows++
	}
	ev.state = parked
	p.unload(ev)
	p.parked++
	p.rows[ev.position] = ev
	p.touch(ev)
}

// parkBehind makes rows of the fresh events of a key, up to a position.
func (p *Partition) parkBehind(l *line, upto int64) {
	for ev := l.tail; ev != nil && l.fresh > 0; ev = ev.before {
		if ev.state == fresh && !ev.flying && ev.position <= upto {
			p.park(ev)
		}
	}
}

// parkBelow makes rows of the fresh events below a position. Keys that are free then begin with rows.
func (p *Partition) parkBelow(position int64) {
	for i := p.window.head; i < p.window.tail; i++ {
		ev := p.window.at(i)
		if ev.position >= position {
			break
		}
		if ev.state != fresh || ev.flying {
			continue
		}
		l := ev.line
		p.park(ev)
		if l.flying == 0 {
			p.free(l)
		}
	}
}

// unload lets go what of an event is not needed once it is not fresh any more.
func (p *Partition) unload(ev *event) {
	p.bytes -= ev.size
	ev.value, ev.size = nil, 0
}

// drop takes an event out of its line for good. It is not to be used any more.
func (p *Partition) drop(ev *event, as state) {
	p.unload(ev)
	if ev.state == parked {
		p.parked--
	}
	ev.line.remove(ev)
	if !ev.passed {
		ev.state = as
		delete(p.rows, ev.position)
		return
	}
	if as == done {
		p.delivered++
	}
	p.forget(ev)
}

// forget removes a row at or below the frontier.
func (p *Partition) forget(ev *event) {
	delete(p.rows, ev.position)
	if ev.written {
		p.removed = append(p.removed, ev.position)
	}
	ev.state = gone
	if !ev.dirty { // else the next move comes upon it
		p.recycle(ev)
	}
}

// free gives a line that has nothing in flight back to those that choose what is next.
//
// Fresh events wait for a row only as long as nobody is blamed for it.
func (p *Partition) free(l *line) {
	l.next = l.head
	if l.rows > 0 && l.fresh > 0 && !l.holds() {
		p.parkBehind(l, math.MaxInt64)
	}
	switch ev := l.head; {
	case ev == nil:
		p.setReady(l, false)
		p.due.remove(l)
		p.removeLine(l)
	case ev.state == fresh:
		p.due.remove(l)
		p.setReady(l, true)
		if ev.index < p.scan {
			p.late.set(l)
		}
	case ev.state == dead:
		p.setReady(l, false)
		p.due.remove(l)
	default:
		p.setReady(l, false)
		l.due = p.now
		if ev.failed {
			l.due = ev.trouble.next
		}
		p.due.set(l)
	}
}

func (p *Partition) setReady(l *line, ready bool) {
	if l.ready != ready {
		l.ready = ready
		if ready {
			p.ready++
		} else {
			p.ready--
		}
	}
}
