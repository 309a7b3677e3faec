package projections

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// progress tells those who wait in this process how far a projection has come, and the worker
// whether somebody waits.
type progress struct {
	mu      sync.Mutex
	running bool
	at      eventstore.Token
	// changed is closed, and replaced, when one of the above changes.
	changed chan struct{}
	// awaited is closed when somebody waits for the next change, and replaced with changed.
	awaited   chan struct{}
	isAwaited bool
}

func newProgress() *progress {
	return &progress{changed: make(chan struct{}), awaited: make(chan struct{})}
}

func (p *progress) set(running bool, at eventstore.Token) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.at = running, at
	close(p.changed)
	p.changed = make(chan struct{})
	if p.isAwaited {
		p.awaited, p.isAwaited = make(chan struct{}), false
	}
}

func (p *progress) isRunning() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// wait waits while the projection runs in this process and is before want, and until ctx ends.
func (p *progress) wait(ctx context.Context, want eventstore.Token) (at eventstore.Token, running bool) {
	for {
		p.mu.Lock()
		at, running := p.at, p.running
		changed := p.changed
		behind := running && at.Before(want) // in another log or incarnation there is nothing to wait for
		if behind && !p.isAwaited {
			p.isAwaited = true
			close(p.awaited)
		}
		p.mu.Unlock()
		if !behind {
			return at, running
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return at, running
		}
	}
}

// The bounds of how long a projection that has caught up lets events gather before it looks again.
// An event that comes after a pause is applied at once; those of a steady stream share
// transactions, which cost nearly the same for one event as for a hundred.
const (
	shortestGathering = 5 * time.Millisecond
	longestGathering  = 50 * time.Millisecond
)

// gather waits for four times as long as the last commit took, within bounds: so at most a fifth of
// the time goes into commits, and the slower the database is, the fewer it gets. It ends at once
// when somebody waits for the projection.
func (p *progress) gather(ctx context.Context, lastCommit time.Duration) {
	p.mu.Lock()
	awaited := p.awaited
	p.mu.Unlock()
	timer := time.NewTimer(min(max(4*lastCommit, shortestGathering), longestGathering))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-awaited:
	case <-timer.C:
	}
}

// Stats are what a Runner has done for one projection since it was made. What holds for the
// projection wherever it runs is in Status.
type Stats struct {
	Projection string
	// Running says that it runs in this process now.
	Running bool
	// Batches were applied, each in a transaction, with Events in all, those skipped included.
	Batches, Events int64
	// Interruptions are errors after which it tried again, Stops those that it waits for an operator
	// after.
	Interruptions, Stops int64
	// StandAsides are events that only a newer program can read.
	StandAsides int64
}

// counts are the numbers in Stats that only grow.
type counts struct{ batches, events, interruptions, stops, standAsides atomic.Int64 }

// Stats returns a line for each projection, in the order of NewRunner. It may be called at any
// time.
func (r *Runner) Stats() []Stats {
	all := make([]Stats, len(r.workers))
	for i, w := range r.workers {
		all[i] = Stats{
			Projection: w.projection.Name(), Running: w.progress.isRunning(),
			Batches: w.counts.batches.Load(), Events: w.counts.events.Load(),
			Interruptions: w.counts.interruptions.Load(), Stops: w.counts.stops.Load(),
			StandAsides: w.counts.standAsides.Load(),
		}
	}
	return all
}
