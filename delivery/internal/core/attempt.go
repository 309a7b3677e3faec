package core

import "time"

// maxPieces is how many attempts are made to find what is wrong with a batch that failed as a whole.
const maxPieces = 20

// split is a batch that failed as a whole, in halves of halves.
type split struct {
	serial, since uint64
	kind          Kind
	pieces        [][]AttemptItem // the last is the next
	made          int
	flying        bool
}

// Wake returns when Next may have something though nothing else happens, and false if it will not. It is meant for
// when Next had nothing.
func (p *Partition) Wake() (time.Time, bool) {
	if !p.attempts() {
		return time.Time{}, false
	}
	var at time.Time
	set := p.ready > 0 || len(p.splits) > 0
	if !set && p.open != nil {
		at, set = p.openUntil, true
	}
	if p.retriable() && (!set || p.due[0].due.Before(at)) {
		at, set = p.due[0].due, true
	}
	if !set {
		return at, false
	}
	c := none
	if p.b.isOpen() {
		c, _ = p.candidate()
	}
	return p.b.wake(at, c)
}

// Coming returns the positions of events that have rows and are likely to be tried soon, at most so many: who reads them needs
// not read each by itself. Those of attempts in flight come first, which may have been read.
func (p *Partition) Coming(limit int) []int64 {
	if limit <= 0 {
		return nil
	}
	positions := make([]int64, 0, limit)
	var next []*event // of their keys
	for _, a := range p.flights {
		for i := range a.Items {
			if it := &a.Items[i]; it.ev.state == parked && len(positions) < limit {
				positions = append(positions, it.Position)
				next = append(next, it.ev.after)
			}
		}
	}
	for _, l := range p.due[:min(limit, len(p.due))] {
		if !l.due.After(p.now) {
			next = append(next, l.head)
		}
	}
	for len(next) > 0 {
		behind := next[:0]
		for _, ev := range next {
			if len(positions) == limit {
				return positions
			}
			if ev != nil && ev.state == parked && !ev.flying && (ev.before == nil || !ev.failed) {
				positions, behind = append(positions, ev.position), append(behind, ev.after)
			}
		}
		next = behind
	}
	return positions
}

// begin lets an attempt fly.
func (p *Partition) begin(now time.Time, a *Attempt) {
	a.Began = now
	for i := range a.Items {
		it := &a.Items[i]
		it.Attempt = int(it.ev.attempts) + 1
	}
	a.slot = len(p.flights)
	p.flights = append(p.flights, a)
	p.lastRetry = a.Kind == Again
	if p.lastRetry {
		p.retries++
	}
}

func (p *Partition) newAttempt(k Kind) *Attempt {
	var a *Attempt
	if n := len(p.freeAttempts); n > 0 {
		a = p.freeAttempts[n-1]
		p.freeAttempts = p.freeAttempts[:n-1]
	} else {
		a = new(Attempt)
	}
	a.Kind = k
	p.serial++
	a.serial = p.serial
	return a
}

func (p *Partition) recycleAttempt(a *Attempt) {
	clear(a.Items)
	*a = Attempt{Items: a.Items[:0]}
	p.freeAttempts = append(p.freeAttempts, a)
}

// take puts the next event of a line into an attempt.
func (p *Partition) take(a *Attempt, ev *event) {
	l := ev.line
	if l.flying == 0 {
		p.setReady(l, false)
		p.due.remove(l)
	}
	l.flying++
	l.serial, l.next = a.serial, ev.after
	ev.flying = true
	it := AttemptItem{Position: ev.position, Key: ev.key, Event: ev.value, Tried: ev.tried, ev: ev}
	if ev.trouble != nil {
		it.Redrive = ev.trouble.redrive
	}
	a.Items = append(a.Items, it)
}

// land takes an event out of an attempt.
func (p *Partition) land(ev *event) {
	ev.flying = false
	ev.line.flying--
}

// dissolveOpen gives back what is in the batch that waits for more.
func (p *Partition) dissolveOpen() {
	if a := p.open; a != nil {
		p.open = nil
		p.giveBack(a.Items)
		p.recycleAttempt(a)
	}
}

// dissolve gives back what is in batches that are not in flight.
func (p *Partition) dissolve() {
	p.dissolveOpen()
	for _, s := range p.splits {
		p.abandon(s)
	}
	p.splits = p.splits[:0]
}

// abandon gives back the pieces of a batch that are not in flight.
func (p *Partition) abandon(s *split) {
	for _, items := range s.pieces {
		p.giveBack(items)
	}
	s.pieces = nil
}

func (p *Partition) giveBack(items []AttemptItem) {
	for i := range items {
		l := items[i].ev.line
		p.land(items[i].ev)
		if l.flying == 0 {
			p.free(l)
		}
	}
}

// peek returns the lowest fresh event that may go into an attempt with a serial, nil if there is none.
func (p *Partition) peek(serial uint64) *event {
	var first *event
	for ; p.scan < p.window.tail; p.scan++ {
		if ev := p.window.at(p.scan); ev.state == fresh && ev.line.next == ev && ev.line.openTo(serial) {
			first = ev
			break
		}
	}
	for len(p.late) > 0 {
		l := p.late[0]
		next := l.next
		if next == nil || next.state != fresh || next.position != l.latePosition || !l.openTo(serial) {
			p.late.remove(l)
			if next != nil && next.state == fresh && next.index < p.scan && l.openTo(serial) {
				p.late.set(l)
			}
			continue
		}
		if first == nil || next.position < first.position {
			return next
		}
		break
	}
	return first
}
