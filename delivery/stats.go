package delivery

import (
	"sync/atomic"
	"time"
)

// Stats are figures about a Runner at one moment.
type Stats struct {
	// Delivered and Failed count events in attempts that have ended since it was made.
	Delivered, Failed int64
	// Moves are statements that moved cursors, MoveErrors those of them that failed.
	Moves, MoveErrors int64
	// LastMove is how long the last one took.
	LastMove time.Duration
	// Position is up to where the end of the log was read; 0: it is not being read, or has no events.
	Position int64
	// Member says whether the process is one of those that deliver.
	Member bool
	// Subscriptions has a line for each of which partitions are here, but for replays.
	Subscriptions []SubscriptionStats
}

// SubscriptionStats are figures about the partitions of a subscription that a process has.
type SubscriptionStats struct {
	Subscription string
	// Partitions are here, Behind of them are not at the end of the log.
	Partitions, Behind int
	// InFlight are attempts, Stuck those of them that should have ended.
	InFlight, Stuck int
	// Parked are rows that are not dead.
	Parked int
	// Lag is how many events of the source are between the furthest cursor and the end of it that was
	// read; -1: that is unknown.
	Lag int64
	// BreakerOpen: the target is taken for down. Throttled: it takes nothing for a time.
	BreakerOpen, Throttled bool
}

// counts are the numbers in Stats that only grow.
type counts struct {
	delivered, failed, moves, moveErrors atomic.Int64
	lastMove                             atomic.Int64
}

func (c *counts) seen(took time.Duration, err error) {
	c.lastMove.Store(int64(took))
	c.moves.Add(1)
	if err != nil {
		c.moveErrors.Add(1)
	}
}

// Stats returns figures without asking the database.
func (r *Runner) Stats() Stats {
	now := time.Now()
	st := Stats{
		Delivered: r.counts.delivered.Load(), Failed: r.counts.failed.Load(), Moves: r.counts.moves.Load(), MoveErrors: r.counts.moveErrors.Load(),
		LastMove: time.Duration(r.counts.lastMove.Load()), Position: r.feed.reads(), Member: r.mayBegin(now),
	}
	for _, s := range r.allRunning() {
		if s.replay != "" {
			continue
		}
		breaker := s.breaker.Status()
		one := SubscriptionStats{Subscription: s.name, BreakerOpen: breaker.Open, Throttled: breaker.ThrottledUntil.After(now), Lag: -1}
		lowest := int64(-1)
		for _, p := range s.all() {
			passed := s.feed.passed(p.queue)
			p.mu.Lock()
			status := p.core.Status()
			p.mu.Unlock()
			one.Partitions++
			if passed == unread {
				one.Behind++
			}
			one.InFlight, one.Stuck, one.Parked = one.InFlight+status.InFlight, one.Stuck+status.Stuck, one.Parked+status.Parked
			at := status.Cursor
			if status.Window == 0 {
				at = max(at, passed)
			}
			if lowest < 0 || at < lowest {
				lowest = at
			}
		}
		if end := s.feed.dealt.Load(); end != unread && lowest >= 0 {
			one.Lag = max(end-lowest, 0)
		}
		st.Subscriptions = append(st.Subscriptions, one)
	}
	return st
}
