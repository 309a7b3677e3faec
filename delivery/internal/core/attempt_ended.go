package core

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"
)

// Ended takes what became of an attempt: a result for each item, or one for all if it failed, or was delivered,
// as a whole. Of the items of a key those behind one that is not done count as not done. It sets Charged, First,
// Dead and Next in the results.
func (p *Partition) Ended(now time.Time, a *Attempt, results []Result) {
	if p.lost {
		return
	}
	p.now = now
	whole := len(results) == 1 && len(a.Items) > 1
	if !whole && len(results) != len(a.Items) {
		panic("core: an attempt needs one result, or one for each item")
	}
	result := func(i int) *Result { return &results[min(i, len(results)-1)] }
	last := len(p.flights) - 1
	moved := p.flights[last]
	p.flights[a.slot], moved.slot = moved, a.slot
	p.flights[last], p.flights = nil, p.flights[:last]
	if a.Kind == Again {
		p.retries--
	}
	if a.stuck {
		p.stuck--
		p.b.release(-1)
	}

	p.serial++
	mark := p.serial
	var key, another string // that got through
	for i := range a.Items {
		it := &a.Items[i]
		l := it.ev.line
		if o := result(i).Outcome; o != Done && l.undone != mark {
			l.undone, l.uncounted = mark, !o.counts() // for those behind it as well
		}
		it.undone = l.undone == mark
		switch k := it.Key; {
		case it.undone:
		case key == "":
			key = k
		case k != key:
			another = k
		}
	}
	p.b.end(now, key, another)
	if key != "" {
		p.suspect = suspect{}
	}

	unsendable := results[0].Outcome == Unsendable
	failed := unsendable || results[0].Outcome == Transient || results[0].Outcome == Permanent
	only := len(a.Items) // how many of the keys are judged
	if whole && failed {
		// What nobody was asked for may be cut whatever the target thinks of it.
		if (p.c.Bisect || unsendable) && !p.draining && p.halt == nil && (a.split == nil || a.split.made < maxPieces) {
			p.halve(a)
			p.recycleAttempt(a)
			return
		}
		// Nobody knows whose fault it is. If nothing works, it is the target's: the first is to show that, and the rest
		// is not to be parked.
		if first := a.Items[0].ev; !unsendable && !p.b.worked(first.key, cmp.Or(first.since, a.since)) {
			only = 1
		}
	}
	above := int64(0) // what is done above the frontier
	for i := range a.Items {
		ev := a.Items[i].ev
		l := ev.line
		p.land(ev)
		if !a.Items[i].undone {
			if !ev.passed {
				above = max(above, ev.position)
			}
			p.drop(ev, done)
		} else {
			if l.judged != mark && i < only {
				l.judged = mark
				p.judge(now, a, ev, result(i), whole)
			}
			ev.tried = true
			if a.Kind != Probe {
				ev.since = a.since
				if !l.uncounted {
					ev.attempts++
				}
			}
			if ev.discard && ev.state == parked {
				p.drop(ev, gone)
			}
		}
		if l.flying == 0 {
			p.free(l)
		}
	}
	if s := a.split; s != nil {
		s.flying = false
		if s.made++; key == "" && p.suspect.since == a.since {
			p.abandon(s) // it looks like the target, not like the batch
		}
		if len(s.pieces) == 0 {
			p.splits = slices.DeleteFunc(p.splits, func(o *split) bool { return o == s })
		}
	}
	p.recycleAttempt(a)
	if p.c.Serial && above > 0 { // the effect is there once the transaction commits, so the cursor has to pass it then
		p.dissolveOpen()
		p.parkBelow(above)
	}
	if p.draining {
		p.parkGaps()
	}
	p.advance()
	if s := p.suspect; s.holds && key == "" && p.ready == 0 && p.open == nil && len(p.splits) == 0 && len(p.flights) == 0 {
		p.b.nothingElse(now, s.key, s.since)
	}
}

// suspect is a key that failed while nothing showed that the target works for others, since the last success.
type suspect struct {
	key   string
	since uint64
	// holds: it failed twice like that, and holds up the partition, or is too old. Once is no sign where little is to do.
	holds bool
}

// alone notes that an event failed, and nobody knows whether the target works for others.
func (p *Partition) alone(now time.Time, ev *event, since uint64) {
	holds := ev.charged == 0 && ev.failures > 0 &&
		(ev.line.fresh > 0 || p.parked >= p.c.MaxParked || now.Sub(ev.trouble.first) > p.c.Retry.MaxAge)
	p.suspect = suspect{ev.key, since, holds || p.suspect.holds}
}

// judge decides what becomes of an event that was not delivered. Shared is a result that may be the fault of another event:
// nobody dies of it, but is tried again alone.
func (p *Partition) judge(now time.Time, a *Attempt, ev *event, r *Result, shared bool) {
	switch r.Outcome {
	case Throttled:
		p.b.throttle(now, r.After)
		return
	case Gone, Stop, Undecodable:
		if p.halt == nil {
			p.halt = &Halt{Outcome: r.Outcome, Position: ev.position, Class: r.Class, Error: r.Error}
		}
		return
	case Postponed:
		p.postpone(now, ev, r)
		return
	}
	if a.Kind == Probe && r.Outcome != Unsendable {
		p.judgeProbe(now, ev, r)
		return
	}
	asked := r.Outcome != Unsendable
	if asked {
		r.Charged = p.b.worked(ev.key, cmp.Or(ev.since, a.since))
	} else {
		r.Charged = !shared
	}
	if ev.charged == 0 && asked {
		p.b.failure(now, ev.key)
	}
	t := ev.fails(now)
	if !r.Charged && asked {
		p.alone(now, ev, a.since)
	}
	t.last, t.class, t.error = now, r.Class, r.Error
	r.First = ev.failures == 0
	ev.failures++
	ev.delayed = false
	if ev.state == fresh {
		p.park(ev)
	}
	if r.Charged {
		ev.charged++
	}
	switch {
	case shared:
	case r.Charged && r.Outcome != Transient:
		p.die(now, ev, r, ClassPermanent)
		return
	case r.Charged && int(ev.charged) >= p.c.Retry.MaxAttempts:
		p.die(now, ev, r, ClassExhausted)
		return
	case ev.charged > 0 && now.Sub(t.first) > p.c.Retry.MaxAge: // charged now or earlier: there may be nobody left to compare with
		p.die(now, ev, r, ClassExpired)
		return
	}
	pause := r.After
	if pause <= 0 {
		pause = p.backoff(int(ev.failures))
	}
	p.wait(ev, r, now.Add(pause))
}

// wait lets an event be tried again at a time.
func (p *Partition) wait(ev *event, r *Result, until time.Time) {
	ev.fell = ev.fell || !ev.failed
	ev.failed = true
	ev.trouble.next, r.Next = until, until
	p.touch(ev)
}

// postpone lets an event wait that nobody is to be blamed for, nor the target: of that it says nothing.
func (p *Partition) postpone(now time.Time, ev *event, r *Result) {
	t := ev.fails(now)
	t.last, t.class, t.error = now, r.Class, r.Error
	r.First = ev.failures == 0 && ev.delays == 0
	ev.delays++
	ev.delayed = true
	if ev.state == fresh {
		p.park(ev)
	}
	p.wait(ev, r, now.Add(max(r.After, p.backoff(int(ev.delays)))))
}

// judgeProbe changes nothing, so that an outage leaves no more than was parked before it was noticed. But where every
// key was asked since the breaker opened and failed, age decides: else a few poisoned keys would hold up their
// partition for ever.
func (p *Partition) judgeProbe(now time.Time, ev *event, r *Result) {
	t := ev.fails(now)
	if now.Sub(t.first) <= p.c.Retry.MaxAge {
		return
	}
	for _, l := range p.lines {
		if l.asked <= p.opened && l.head.state != dead {
			return
		}
	}
	if ev.state == fresh {
		p.park(ev)
	}
	t.last, t.class, t.error = now, r.Class, r.Error
	p.die(now, ev, r, ClassExpired)
}

// fails returns the trouble that an event has at the latest now.
func (ev *event) fails(now time.Time) *trouble {
	if ev.trouble == nil {
		ev.trouble = new(trouble)
	}
	if ev.trouble.first.IsZero() {
		ev.trouble.first = now
	}
	return ev.trouble
}

// die makes a dead letter of a row, with a result.
func (p *Partition) die(now time.Time, ev *event, r *Result, class string) {
	ev.state, r.Dead = dead, true
	ev.trouble.died, ev.trouble.class, ev.trouble.next = now, class, time.Time{}
	p.parked--
	if !p.c.Hold {
		ev.line.remove(ev)
	}
	p.touch(ev)
}

// backoff returns how long an event waits that has failed n times.
func (p *Partition) backoff(n int) time.Duration {
	r := p.c.Retry
	longest := min(float64(r.First)*math.Pow(r.Factor, float64(n-1)), float64(r.Cap))
	return max(time.Duration(p.c.Random()*longest), time.Millisecond)
}

// hasten makes rows due soon that nobody is blamed for, if the breaker has closed. What was postponed waits for something else.
func (p *Partition) hasten(now time.Time) {
	closings := p.b.closings.Load()
	if closings == p.closings {
		return
	}
	p.closings = closings
	for _, l := range p.due {
		if ev := l.head; ev.failed && ev.charged == 0 && !ev.delayed {
			soon := now.Add(time.Duration(p.c.Random() * float64(hastenWithin)))
			if soon.Before(ev.trouble.next) {
				ev.trouble.next, l.due = soon, soon
			}
		}
	}
	heap.Init(&p.due)
}

// unhold parks what holds the cursor back behind an event that nobody is blamed for yet, though the target works for
// others: else a full window would hold up those.
func (p *Partition) unhold() {
	for p.window.len() > 0 {
		ev := p.window.at(p.window.head)
		l := ev.line
		if l.rows == 0 || l.head.state == fresh || ev.flying || !p.b.worked(l.key, l.head.since) {
			return
		}
		p.parkBehind(l, math.MaxInt64)
		p.advance()
	}
}
