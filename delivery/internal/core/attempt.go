package core

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
	"time"
)

// maxPieces is how many attempts are made to find what is wrong with a batch that failed as a whole.
const maxPieces = 20

// serialDraw is from how many events a Serial partition draws one for a probe: what is below it is parked when it
// is done.
const serialDraw = 100

// split is a batch that failed as a whole, in halves of halves.
type split struct {
	serial, since uint64
	kind          Kind
	pieces        [][]AttemptItem // the last is the next
	made          int
	flying        bool
}

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
	it := AttemptItem{Position: ev.position, Key: ev.key, Event: ev.value, ev: ev}
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

// Ended takes what became of an attempt: a result for each item, or one for all if it failed, or was delivered,
// as a whole. Of the items of a key those behind one that is not done count as not done. It sets Charged in
// the results.
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
		if result(i).Outcome != Done {
			l.undone = mark
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
			if a.Kind != Probe {
				ev.attempts++
				ev.since = a.since
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
	ev.failures++
	if ev.state == fresh {
		p.park(ev)
	}
	if r.Charged {
		ev.charged++
	}
	switch {
	case shared:
	case r.Charged && r.Outcome != Transient:
		p.die(now, ev, ClassPermanent)
		return
	case r.Charged && int(ev.charged) >= p.c.Retry.MaxAttempts:
		p.die(now, ev, ClassExhausted)
		return
	case ev.charged > 0 && now.Sub(t.first) > p.c.Retry.MaxAge: // charged now or earlier: there may be nobody left to compare with
		p.die(now, ev, ClassExpired)
		return
	}
	ev.fell = ev.fell || !ev.failed
	ev.failed = true
	pause := r.After
	if pause <= 0 {
		pause = p.backoff(int(ev.failures))
	}
	t.next = now.Add(pause)
	p.touch(ev)
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
	p.die(now, ev, ClassExpired)
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

// die makes a dead letter of a row.
func (p *Partition) die(now time.Time, ev *event, class string) {
	ev.state = dead
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

// hasten makes rows due soon that nobody is blamed for, if the breaker has closed.
func (p *Partition) hasten(now time.Time) {
	closings := p.b.closings.Load()
	if closings == p.closings {
		return
	}
	p.closings = closings
	for _, l := range p.due {
		if ev := l.head; ev.failed && ev.charged == 0 {
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
