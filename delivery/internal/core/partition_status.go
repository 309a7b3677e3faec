package core

import (
	"cmp"
	"slices"
	"time"
)

// Halted returns why it makes no attempts any more, nil if it does: the subscription is to stop, or the
// partition to be given back.
func (p *Partition) Halted() *Halt { return p.halt }

// NoSlots reports whether all attempts that it may make at once are stuck: it is to be given back.
func (p *Partition) NoSlots() bool { return p.stuck >= p.slots() }

func (p *Partition) slots() int {
	if p.c.Serial {
		return 1
	}
	return p.c.MaxInFlight
}

// Stuck notes that an attempt should have ended. Its keys and its slot are not available until it does.
func (p *Partition) Stuck(a *Attempt) {
	if !a.stuck {
		a.stuck = true
		p.stuck++
		p.b.release(1) // it shows nothing
	}
}

// Full returns up to ten keys with the most rows, if there are too many rows for it to read on.
func (p *Partition) Full() []string {
	if p.parked < p.c.MaxParked {
		return nil
	}
	lines := make([]*line, 0, len(p.lines))
	for _, l := range p.lines {
		if l.rows > 0 {
			lines = append(lines, l)
		}
	}
	slices.SortFunc(lines, func(a, b *line) int {
		return cmp.Or(cmp.Compare(b.rows, a.rows), cmp.Compare(a.key, b.key))
	})
	var keys []string
	for _, l := range lines[:min(10, len(lines))] {
		keys = append(keys, l.key)
	}
	return keys
}

// Status returns what it tells about itself.
func (p *Partition) Status() Status {
	s := Status{Cursor: p.cursor, Read: p.read, Window: p.used(), InFlight: len(p.flights), Stuck: p.stuck,
		Parked: p.parked, Full: p.parked >= p.c.MaxParked}
	for _, a := range p.flights {
		if s.OldestInFlight.IsZero() || a.Began.Before(s.OldestInFlight) {
			s.OldestInFlight = a.Began
		}
	}
	return s
}

func (p *Partition) answer(ev *event, w Wish) {
	ev.answered = w
	p.touch(ev)
}

// Want carries out what an operator wants of a row that the database has; the next move says so (Row.Answered), or
// removes it. It returns false if moves were made or begun since AsOf, after which the row was read: read it again. The
// key of a row that is to be tried counts as having rows from then on, whether it is being delivered or not.
func (p *Partition) Want(now time.Time, asOf uint64, row Row, w Wish) bool {
	if p.moving || p.moves != asOf {
		return false
	}
	ev := p.rows[row.Position]
	switch {
	case p.stopped() || p.draining:
		return true // who has it next does it
	case ev == nil && (row.State != Dead || slices.Contains(p.removed, row.Position)):
		return true // it was done just now
	case ev == nil && w == Discard:
		p.removed = append(p.removed, row.Position)
		return true
	}
	p.dissolveOpen() // which has not begun, and may have later events of the key
	if ev == nil {
		ev = p.eventOf(row)
		ev.state = dead
		p.rows[row.Position] = ev
	}
	l := ev.line
	switch {
	case w == Discard && ev.flying:
		ev.discard = true
		p.answer(ev, w)
		return true
	case w == Discard:
		if l == nil { // dead, and the database does not know
			p.forget(ev)
			return true
		}
		p.drop(ev, gone)
		p.advance()
	case ev.state == dead && w == RetryNow: // it died meanwhile, and only Redrive revives
		p.answer(ev, w)
		return true
	case ev.state == dead:
		ev.state, ev.failed = parked, true
		ev.attempts, ev.charged, ev.failures, ev.delays, ev.delayed = 0, 0, 0, 0, false
		ev.trouble = &trouble{next: now, redrive: true}
		p.parked++
		if l == nil {
			l = p.lineOf(row.Key)
			l.insert(ev)
		}
		p.answer(ev, w)
	default:
		if ev.failed {
			ev.trouble.next = now
		}
		p.answer(ev, w)
	}
	if l.flying == 0 {
		p.free(l)
	}
	return true
}
