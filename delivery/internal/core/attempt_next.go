package core

import (
	"cmp"
	"slices"
	"time"
)

// serialDraw is from how many events a Serial partition draws one for a probe: what is below it is parked when it
// is done.
const serialDraw = 100

// Next begins an attempt if there is one to make now. Ended must be called for each, once.
func (p *Partition) Next(now time.Time) (*Attempt, bool) {
	p.now = now
	p.hasten(now)
	if !p.attempts() {
		return nil, false
	}
	if p.isHalfFull(p.window.len()) {
		p.unhold()
	}
	if p.ready == 0 && p.open == nil && len(p.splits) == 0 && len(p.due) == 0 {
		return nil, false
	}
	g, since := p.b.admit(now)
	switch g {
	case gateClosed:
		return nil, false
	case gateProbes:
		return p.nextProbe(now)
	}
	a := p.nextPiece()
	retry := p.retriable() && !p.due[0].due.After(now)
	if a == nil && retry && !(p.lastRetry && p.ready > 0) {
		a = p.nextRetry(now)
	}
	if a == nil {
		a = p.nextFresh(now)
	}
	if a == nil && retry {
		a = p.nextRetry(now)
	}
	if a == nil {
		p.b.cancel()
		return nil, false
	}
	if a.split == nil {
		a.since = since
	}
	p.begin(now, a)
	return a, true
}

// attempts reports whether it may make another.
func (p *Partition) attempts() bool {
	return !p.stopped() && !p.draining && len(p.flights) < p.slots() && !(p.c.Serial && p.moving)
}

// retriable reports whether one more of the attempts may be for rows, which have half of the slots, so that poison does
// not crowd out the rest.
func (p *Partition) retriable() bool {
	return len(p.due) > 0 && p.retries < max(1, p.slots()/2)
}

// openTo reports whether more of the line may go into an attempt.
func (l *line) openTo(serial uint64) bool { return l.flying == 0 || l.serial == serial }

// nextFresh returns a batch of fresh events, nil if there are none or it waits for more.
func (p *Partition) nextFresh(now time.Time) *Attempt {
	a := p.open
	if a == nil {
		if p.ready == 0 {
			return nil
		}
		a = p.newAttempt(Fresh)
		p.openBytes, p.openUntil = 0, now.Add(p.c.Wait)
	}
	full := false
	for len(a.Items) < p.c.MaxEvents {
		ev := p.peek(a.serial)
		if ev == nil {
			break
		}
		if len(a.Items) > 0 && p.c.MaxBytes > 0 && p.openBytes+ev.size > p.c.MaxBytes {
			full = true
			break
		}
		p.openBytes += ev.size
		p.take(a, ev)
		if l := ev.line; p.c.MaxEvents > 1 && l.next != nil && l.next.state == fresh && l.next.index < p.scan {
			p.late.set(l)
		}
	}
	switch {
	case len(a.Items) == 0:
		p.recycleAttempt(a)
		p.open = nil
		return nil
	case !full && len(a.Items) < p.c.MaxEvents && now.Before(p.openUntil):
		p.open = a
		return nil
	}
	p.open = nil
	inOrder(a)
	return a
}

// inOrder puts the items in order of position: what waited for a row comes later into a batch than what is behind it.
func inOrder(a *Attempt) {
	slices.SortFunc(a.Items, func(a, b AttemptItem) int { return cmp.Compare(a.Position, b.Position) })
}

// nextRetry returns an attempt for rows that are due: one that failed goes alone, those that were only blocked in
// batches.
func (p *Partition) nextRetry(now time.Time) *Attempt {
	a := p.newAttempt(Again)
	for len(p.due) > 0 && len(a.Items) < p.c.MaxEvents {
		l := p.due[0]
		if l.due.After(now) || len(a.Items) > 0 && l.head.failed {
			break
		}
		if l.head.failed {
			p.take(a, l.head)
			break
		}
		for ev := l.head; ev != nil && ev.state == parked && !ev.failed && len(a.Items) < p.c.MaxEvents; ev = ev.after {
			p.take(a, ev)
		}
	}
	inOrder(a)
	return a
}

// nextPiece returns what is next of a batch that failed as a whole.
func (p *Partition) nextPiece() *Attempt {
	for i := 0; i < len(p.splits); i++ {
		s := p.splits[i]
		for !s.flying && len(s.pieces) > 0 {
			a := p.newAttempt(s.kind)
			a.serial, a.since, a.split = s.serial, s.since, s
			n := len(s.pieces) - 1
			for _, it := range s.pieces[n] {
				// What is behind one of its key that was not delivered waits for that.
				ev := it.ev
				if ev.before == nil || ev.before.flying {
					a.Items = append(a.Items, it)
					continue
				}
				l := ev.line
				p.land(ev)
				if l.flying == 0 {
					p.free(l)
				}
			}
			s.pieces = s.pieces[:n]
			if len(a.Items) > 0 {
				s.flying = true
				return a
			}
			p.recycleAttempt(a)
		}
		if !s.flying {
			p.splits = append(p.splits[:i], p.splits[i+1:]...)
			i--
		}
	}
	return nil
}

// halve makes two pieces of an attempt that failed as a whole.
func (p *Partition) halve(a *Attempt) {
	s := a.split
	if s == nil {
		s = &split{serial: a.serial, since: a.since, kind: a.Kind}
		p.splits = append(p.splits, s)
	}
	s.flying = false
	s.made++
	for i := range a.Items {
		a.Items[i].ev.attempts++
	}
	half := (len(a.Items) + 1) / 2
	s.pieces = append(s.pieces, append([]AttemptItem(nil), a.Items[half:]...), append([]AttemptItem(nil), a.Items[:half]...))
}

// candidate returns the best event for a probe, and what it is; nil if there is none. Of each kind that was
// not asked before those that were, that no poison is asked for ever in place of others.
func (p *Partition) candidate() (candidate, *event) {
	if opening := p.b.openings.Load(); p.opening != opening {
		p.opening, p.opened, p.round = opening, p.asks, p.asks
	}
	best, pick := none, (*event)(nil)
	consider := func(c candidate, ev *event) {
		if c < best {
			best, pick = c, ev
		}
	}
	// Beginning anywhere: the first of the window may be poison.
	for i, from := 0, p.from(min(p.window.len(), p.draws())); p.ready > 0 && i < p.window.len() && best != freshKey; i++ {
		ev := p.window.at(p.window.head + uint64((from+i)%p.window.len()))
		switch {
		case ev.state != fresh || !ev.line.ready:
		case ev.line.asked <= p.round:
			consider(freshKey, ev.line.head)
		default:
			consider(asked, ev.line.head)
		}
	}
	for i, from := 0, p.from(len(p.due)); i < len(p.due) && best > uncharged; i++ {
		l := p.due[(from+i)%len(p.due)]
		switch {
		case l.asked > p.round:
			consider(asked, l.head)
		case l.head.charged == 0:
			consider(uncharged, l.head)
		default:
			consider(anyRow, l.head)
		}
	}
	return best, pick
}

// draws is from how many events of the window one is drawn.
func (p *Partition) draws() int {
	if p.c.Serial {
		return serialDraw
	}
	return p.window.len()
}

func (p *Partition) from(n int) int { return int(p.c.Random() * float64(n)) }

func (p *Partition) nextProbe(now time.Time) (*Attempt, bool) {
	p.dissolve()
	if !p.b.mayProbe(now) {
		return nil, false
	}
	c, ev := p.candidate()
	if c == none || !p.b.probe(now, c) {
		return nil, false
	}
	if c == asked {
		p.round = p.asks
	}
	p.asks++
	ev.line.asked = p.asks
	a := p.newAttempt(Probe)
	p.take(a, ev)
	a.since = p.b.begin()
	p.begin(now, a)
	return a, true
}
