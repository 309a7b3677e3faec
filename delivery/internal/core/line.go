package core

import (
	"container/heap"
	"time"
)

// state is that of an event in memory.
type state uint8

const (
	fresh  state = iota // neither settled nor a row
	parked              // a row that is not dead
	dead
	done // delivered, and the frontier has not passed it
	gone // nobody needs it any more
)

// event is one that matches and is not settled, or that the frontier has not passed.
type event struct {
	position int64
	key      string
	index    uint64 // in the window
	line     *line  // nil: it is in none
	before   *event // in the line
	after    *event
	value    any
	trouble  *trouble // nil: it has never failed
	since    uint64   // the breaker's count when its last attempt began
	size     int
	attempts int32
	charged  int32
	failures int32 // as far as this owner knows
	delays   int32 // how often it was postponed, as far as this owner knows
	state    state
	delayed  bool // it was postponed last
	failed   bool // a row that failed, or is to be tried again: its time is trouble.next; else as soon as it is first
	flying   bool // in an attempt, or in what is left of one
	passed   bool // at or below the frontier
	written  bool // the database has it, or is told
	dirty    bool // in Partition.dirty
	discard  bool // once it has landed
	tried    bool // in vain
	fell     bool // it failed for the first time since the database was told of it last
	answered Wish // since then
}

// trouble is what an event has that failed.
type trouble struct {
	next, first, last, died time.Time
	class, error            string
	redrive                 bool
}

func (ev *event) row() Row {
	r := Row{Position: ev.position, Key: ev.key, State: Blocked, Attempts: int(ev.attempts), Charged: int(ev.charged), Answered: ev.answered}
	if t := ev.trouble; t != nil {
		r.FirstFailed, r.LastFailed, r.Class, r.Error, r.Redrive = t.first, t.last, t.class, t.error, t.redrive
		switch {
		case ev.state == dead:
			r.State, r.DeadAt = Dead, t.died
		case ev.failed:
			r.State, r.NextAttempt = Waiting, t.next
		}
	}
	return r
}

// line is the undone events of a key, in order of position.
type line struct {
	key        string
	head, tail *event
	// next is the first that is not flying; while the line is not free, behind those that are.
	next *event
	// fresh, rows and flying count events; rows counts dead ones too.
	fresh, rows, flying int
	serial              uint64 // of the batch that its flying events are in
	asked               uint64 // which of the probes of the partition was for it last
	undone, judged      uint64 // serials of attempts in which one failed
	uncounted           bool   // the attempt in which one failed last
	due                 time.Time
	duePosition         int64 // of head, as the heap knows it
	latePosition        int64
	dueAt, lateAt       int // in the heaps, from 1
	ready               bool
}

func (l *line) push(ev *event) {
	ev.line, ev.before = l, l.tail
	if l.tail != nil {
		l.tail.after = ev
	} else {
		l.head = ev
	}
	l.tail = ev
	if l.next == nil {
		l.next = ev
	}
	l.count(ev, 1)
}

// insert puts an event in its place.
func (l *line) insert(ev *event) {
	before := l.tail
	for before != nil && before.position > ev.position {
		before = before.before
	}
	if before == l.tail {
		l.push(ev)
		return
	}
	ev.line, ev.before = l, before
	if before == nil {
		ev.after, l.head = l.head, ev
	} else {
		ev.after, before.after = before.after, ev
	}
	ev.after.before = ev
	l.count(ev, 1)
}

func (l *line) remove(ev *event) {
	if ev.before != nil {
		ev.before.after = ev.after
	} else {
		l.head = ev.after
	}
	if ev.after != nil {
		ev.after.before = ev.before
	} else {
		l.tail = ev.before
	}
	if l.next == ev {
		l.next = ev.after
	}
	l.count(ev, -1)
	ev.line, ev.before, ev.after = nil, nil, nil
}

func (l *line) count(ev *event, n int) {
	if ev.state == fresh {
		l.fresh += n
	} else {
		l.rows += n
	}
}

// holds reports whether later events wait in memory: there are no rows, or the first has failed and nobody is blamed
// for it. Behind others they would hold back the cursor for too long.
func (l *line) holds() bool {
	h := l.head
	return h.state == fresh || h.state == parked && h.failed && h.charged == 0
}

// window is a queue of events.
type window struct {
	events     []*event // a power of two
	head, tail uint64
}

func (w *window) len() int { return int(w.tail - w.head) }

func (w *window) at(i uint64) *event { return w.events[i&uint64(len(w.events)-1)] }

func (w *window) push(ev *event) (index uint64) {
	if w.len() == len(w.events) {
		events := make([]*event, max(16, 2*len(w.events)))
		for i := w.head; i < w.tail; i++ {
			events[i&uint64(len(events)-1)] = w.at(i)
		}
		w.events = events
	}
	index = w.tail
	w.events[index&uint64(len(w.events)-1)] = ev
	w.tail++
	return index
}

// lineHeap has lines in an order.
type lineHeap[O lineOrder] []*line

// lineOrder is by what a heap has lines: note takes it from a line that comes or has changed, at is where the line is in the
// heap, from 1.
type lineOrder interface {
	note(*line)
	less(a, b *line) bool
	at(*line) *int
}

func (h lineHeap[O]) Len() int           { return len(h) }
func (h lineHeap[O]) Less(i, j int) bool { var o O; return o.less(h[i], h[j]) }
func (h lineHeap[O]) Swap(i, j int) {
	var o O
	h[i], h[j] = h[j], h[i]
	*o.at(h[i]), *o.at(h[j]) = i+1, j+1
}

func (h *lineHeap[O]) Push(x any) {
	var o O
	l := x.(*line)
	*h = append(*h, l)
	*o.at(l) = len(*h)
}

func (h *lineHeap[O]) Pop() any {
	var o O
	old := *h
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*o.at(l) = 0
	*h = old[:len(old)-1]
	return l
}

func (h *lineHeap[O]) set(l *line) {
	var o O
	o.note(l)
	if i := *o.at(l); i == 0 {
		heap.Push(h, l)
	} else {
		heap.Fix(h, i-1)
	}
}

func (h *lineHeap[O]) remove(l *line) {
	var o O
	if i := *o.at(l); i > 0 {
		heap.Remove(h, i-1)
	}
}

// byLate orders lines by the position of the event that was next when they came, or were freed. Whoever takes one looks
// whether it still is.
type byLate struct{}

func (byLate) note(l *line)         { l.latePosition = l.next.position }
func (byLate) less(a, b *line) bool { return a.latePosition < b.latePosition }
func (byLate) at(l *line) *int      { return &l.lateAt }

// byDue orders lines by when their first row may be tried, and those of one time by its position. A row that only waited for
// another may be tried from when that was done: so keys take turns, and rows are tried in about the order of the log, in
// which they can be read again many at a time.
type byDue struct{}

func (byDue) note(l *line) { l.duePosition = l.head.position }
func (byDue) less(a, b *line) bool {
	if c := a.due.Compare(b.due); c != 0 {
		return c < 0
	}
	return a.duePosition < b.duePosition
}
func (byDue) at(l *line) *int { return &l.dueAt }

// lineOf returns the line of a key, a new one if there is none.
func (p *Partition) lineOf(key string) *line {
	if l := p.lines[key]; l != nil {
		return l
	}
	return p.addLine(key)
}

func (p *Partition) addLine(key string) *line {
	var l *line
	if n := len(p.freeLines); n > 0 {
		l = p.freeLines[n-1]
		p.freeLines = p.freeLines[:n-1]
	} else {
		l = new(line)
	}
	l.key = key
	p.lines[key] = l
	return l
}

func (p *Partition) removeLine(l *line) {
	delete(p.lines, l.key)
	p.late.remove(l)
	*l = line{}
	p.freeLines = append(p.freeLines, l)
}

// eventsAtOnce is how many events are allocated together at most; the first are few: there may be thousands of partitions.
const eventsAtOnce = 128

func (p *Partition) newEvent() *event {
	if len(p.freeEvents) == 0 {
		p.chunk = min(max(2*p.chunk, 4), eventsAtOnce)
		chunk := make([]event, p.chunk)
		for i := range chunk {
			p.freeEvents = append(p.freeEvents, &chunk[i])
		}
	}
	n := len(p.freeEvents) - 1
	ev := p.freeEvents[n]
	p.freeEvents = p.freeEvents[:n]
	return ev
}

// Trim lets go the memory that it needed for many events, if it has none now.
func (p *Partition) Trim() {
	const few = 16
	if len(p.freeEvents) <= few || p.moving || p.window.len()+len(p.lines)+len(p.rows)+len(p.dirty)+len(p.flights) > 0 {
		return
	}
	p.window.events, p.freeEvents, p.freeLines, p.freeAttempts = nil, nil, nil, nil
	p.late, p.due, p.dirty, p.sent, p.chunk = nil, nil, nil, nil, 0
	p.lines, p.rows = make(map[string]*line), make(map[int64]*event)
}

// recycle takes back an event that nothing refers to.
func (p *Partition) recycle(ev *event) {
	*ev = event{}
	p.freeEvents = append(p.freeEvents, ev)
}
