package delivery

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
)

// partition is one that this process has.
type partition struct {
	owned
	of    *running
	queue *queue
	// since is when this process had taken it.
	since time.Time
	// ctx ends when the partition is lost.
	ctx    context.Context
	cancel context.CancelFunc

	mu   sync.Mutex
	core *core.Partition
	// flights are the attempts that have not returned.
	flights map[*core.Attempt]flight
	// leaving says why it is given back once its attempts have ended; empty: it is not. Past leaveBy nobody waits for
	// them any more.
	leaving string
	leaveBy time.Time
	// gone: it is given back or lost. Nothing is begun, moved or offered any more.
	gone bool
	// queued says that the mover knows that there may be something to move, moving that a move is being made.
	queued, moving bool
	timer          *time.Timer
	dueAt          time.Time
	// idleTimer calls the target when nothing has come for a time.
	idleTimer *time.Timer

	lastEventAt time.Time
	reportedAt  time.Time
	trouble     string
	rate        rateMeter
	rereads     rereads
	// readTo, if not 0, is up to where it reads: there are to be fewer partitions. SaidReadTo: the database knows; only the
	// keeper uses it.
	readTo     int64
	saidReadTo bool
	// told is what operators were told of an attempt that does not return, while others wait for it.
	told string
	// isLost: a move of it was refused.
	isLost bool
	// wished has what was done of what operators want, until a move says so, by position.
	wished map[int64]wish
	// toldIdle is whether operators were told last that it is idle, toldRead how far they were told that it has read.
	toldIdle bool
	toldRead int64
	// skips are events that an operator had left out.
	skips map[int64]bool
	pace  pace
}

// flight is what is known of an attempt in flight.
type flight struct {
	begun time.Time
	stuck bool
}

// start begins to deliver a partition that was taken.
func (s *running) start(ctx context.Context, t *taken) *partition {
	p := &partition{owned: t.owned, of: s, since: time.Now(), flights: make(map[*core.Attempt]flight), wished: make(map[int64]wish), skips: t.Skips,
		pace: pace{rate: s.rate}}
	p.ctx, p.cancel = context.WithCancel(ctx)
	p.core = core.NewPartition(s.config, s.breaker, t.Position, t.Rows)
	if t.HalvingTo > 0 && max(t.Barrier, t.ReadTo) > 0 {
		p.readTo = max(t.Barrier, t.ReadTo)
		p.core.ReadTo(p.readTo)
	}
	if s.end > 0 {
		p.core.ReadTo(s.end)
	}
	p.queue = newQueue(s.source, t.Partition, p)
	s.mu.Lock()
	s.partitions = append(slices.Clip(s.partitions), p)
	s.mu.Unlock()
	s.feed.add(p.queue)
	p.pump(false)
	p.armIdle(time.Second)
	return p
}

// next implements consumer.
func (p *partition) next() (position int64, wants bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.core.Read() + 1, p.wants()
}

// wants reports whether it reads on. The caller holds mu.
func (p *partition) wants() bool { return !p.gone && p.leaving == "" && p.core.Wants() }

// offer implements consumer.
func (p *partition) offer(events []offered, from, upto int64) (read int64) {
	p.of.stir()
	p.mu.Lock()
	if read = p.core.Read(); p.gone || p.leaving != "" || read+1 < from {
		p.mu.Unlock()
		return read
	}
	var few [8]core.Item
	items := few[:0]
	for _, o := range events {
		if p.skips[o.event.Position] || p.of.also != nil && !p.of.also(o.event) {
			continue
		}
		items = append(items, core.Item{Position: o.event.Position, Key: o.key, Size: o.event.Size(), Event: o.event})
	}
	p.core.Offer(items, upto)
	read = p.core.Read()
	if read == p.readTo || read == p.of.end {
		p.queueMove() // all wait for it
	}
	if len(events) > 0 {
		p.lastEventAt = events[len(events)-1].event.RecordedAt
		p.queueMove()
	}
	p.mu.Unlock()
	if len(events) > 0 {
		p.pump(true)
	}
	return read
}

// pump begins what attempts there are to begin now. If here is set quick handlers are called on the goroutine of the caller, but
// for rows: their events are to be read first, for as long as the log cannot be read.
func (p *partition) pump(here bool) {
	for a := p.begin(); a != nil; a = p.begin() {
		for here && p.of.quick && a.Kind == core.Fresh {
			if a = p.try(a); a == nil {
				return
			}
		}
		p.of.runner.attempts.Go(func() { p.tryAll(a) })
	}
}

// tryAll makes an attempt, and those that there are to begin when it has ended.
func (p *partition) tryAll(a *core.Attempt) {
	for a != nil {
		a = p.try(a)
	}
}

// begin returns the next attempt to make, nil if there is none now.
func (p *partition) begin() *core.Attempt {
	p.mu.Lock()
	a := p.beginAt(time.Now())
	p.mu.Unlock()
	if a == nil {
		p.of.pumpAll() // the breaker may have kept others waiting while it was seen that there is none
	}
	return a
}

// beginAt is begin for who holds mu.
func (p *partition) beginAt(now time.Time) *core.Attempt {
	if p.gone || !p.of.runner.mayBegin(now) {
		return nil
	}
	if due, yes := p.pace.holds(now); yes {
		p.armAt(due, now)
		return nil
	}
	a, ok := p.core.Next(now)
	if !ok {
		if at, ok := p.core.Wake(); ok {
			p.armAt(at, now)
		}
		return nil
	}
	p.pace.began(now, len(a.Items))
	p.flights[a] = flight{begun: now}
	p.of.stir()
	return a
}

// armAt lets it be looked at again at a time. The caller holds mu.
func (p *partition) armAt(at, now time.Time) {
	switch {
	case at.Equal(p.dueAt):
		return
	case p.timer == nil:
		p.timer = time.AfterFunc(max(at.Sub(now), 0), p.due)
	default:
		p.timer.Reset(max(at.Sub(now), 0))
	}
	p.dueAt = at
}

func (p *partition) due() {
	p.mu.Lock()
	p.dueAt = time.Time{}
	p.mu.Unlock()
	p.pump(false)
}

// ended takes what became of an attempt, which is not to be used any more, and begins the next. Nil: there is none now.
func (p *partition) ended(now time.Time, a *core.Attempt, results []core.Result) (next *core.Attempt) {
	p.mu.Lock()
	delete(p.flights, a)
	p.core.Ended(now, a, results)
	if p.gone {
		if len(p.flights) == 0 {
			p.of.runner.look()
		}
		p.mu.Unlock()
		return nil
	}
	if p.core.Pending() > 0 {
		p.queueMove()
	}
	next = p.beginAt(now)
	p.settled()
	return next
}

// settled lets go on what waited for an attempt, or for a move, to end. The caller holds mu, which it unlocks.
func (p *partition) settled() {
	r := p.of.runner
	behind := p.queue.by.Load() == nobody && p.wants()
	tell := !p.gone && (p.core.Halted() != nil || p.leaving != "" && len(p.flights) == 0)
	p.mu.Unlock()
	if behind {
		p.of.feed.stir()
	}
	if tell {
		r.look()
	}
	p.of.pumpAll()
}

// leave begins to give the partition back.
func (p *partition) leave(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone || p.leaving != "" {
		return
	}
	if passed := p.of.feed.passed(p.queue); passed > 0 {
		p.core.Offer(nil, passed)
	}
	p.leaving, p.leaveBy = why, time.Now().Add(min(p.of.timeout, drainTime))
	p.core.Drain()
	p.queueMove()
	p.of.runner.moveNow()
}

// isLeft reports whether nothing keeps a partition that leaves from being given back.
func (p *partition) isLeft(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leaving != "" && (p.core.Drained() && p.core.Pending() == 0 && !p.queued && !p.moving || now.After(p.leaveBy))
}

// drop forgets the partition: it is given back or another's.
func (p *partition) drop() {
	s := p.of
	s.feed.remove(p.queue)
	p.mu.Lock()
	wasGone := p.gone
	p.gone = true
	p.cancel()
	p.core.Lose()
	if p.timer != nil {
		p.timer.Stop()
	}
	if p.idleTimer != nil {
		p.idleTimer.Stop()
	}
	p.mu.Unlock()
	if wasGone {
		return
	}
	s.mu.Lock()
	s.partitions = slices.DeleteFunc(slices.Clone(s.partitions), func(other *partition) bool { return other == p })
	s.mu.Unlock()
}

// wasLost reports whether a move of the partition was refused.
func (p *partition) wasLost() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.isLost
}

// restarted notes that an attempt has waited for others until now, in which nobody is stuck.
func (p *partition) restarted(a *core.Attempt) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f, ok := p.flights[a]; ok && !f.stuck {
		p.flights[a] = flight{begun: time.Now()}
	}
}

// isOver reports whether no attempt of the partition is in flight any more.
func (p *partition) isOver() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flights) == 0
}

// newEvent returns an event as it is delivered.
func (r *Runner) newEvent(e *eventstore.RecordedEvent, item *core.AttemptItem, replay string) Event {
	return Event{RecordedEvent: e, MessageID: MessageID(r.log.Load().Log, e), Key: item.Key, Attempt: item.Attempt, Tried: item.Tried, Redrive: item.Redrive, Replay: replay}
}
