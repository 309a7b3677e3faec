package bench

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// contender is one way to do the work that a benchmark is about.
type contender struct {
	name string
	// call does a piece of the work, as caller number caller, and returns how many events it had.
	// It is timed.
	call func(ctx context.Context, caller int) (events int, err error)
}

// pace says how long to measure.
type pace struct {
	callers  int
	duration time.Duration // of each contender, all rounds together
	rounds   int
}

const (
	// defaultRounds is how often contenders take turns: often enough for a disturbance from
	// outside to meet all of them.
	defaultRounds = 5
	maxWarmUp     = 500 * time.Millisecond
)

// compete lets contenders work in turns and returns a result for each. Before that each warms up:
// connections are made, statements prepared, caches filled.
func compete(ctx context.Context, env *Env, p pace, contenders ...contender) ([]Result, error) {
	tallies := make([]tally, len(contenders))
	for _, c := range contenders {
		if err := new(tally).round(ctx, c, p.callers, min(p.duration/10, maxWarmUp)); err != nil {
			return nil, err
		}
	}
	for round := range p.rounds {
		env.say("%d callers, round %d of %d", p.callers, round+1, p.rounds)
		for i, c := range contenders {
			if err := tallies[i].round(ctx, c, p.callers, p.duration/time.Duration(p.rounds)); err != nil {
				return nil, err
			}
		}
	}
	results := make([]Result, len(contenders))
	for i, c := range contenders {
		results[i] = tallies[i].result(c.name, p.callers)
	}
	return results, nil
}

// tally adds up the rounds of one contender.
type tally struct {
	latency histogram
	events  int64
	elapsed time.Duration
	busy    time.Duration // of this process, on processors
	rounds  []float64
}

// add adds a round.
func (t *tally) add(events int64, elapsed, busy time.Duration) {
	t.events += events
	t.elapsed += elapsed
	t.busy += busy
	t.rounds = append(t.rounds, float64(events)/elapsed.Seconds())
}

// round lets callers call for a while. A call that is being made at the end is finished and counts,
// with the time it takes.
func (t *tally) round(ctx context.Context, c contender, callers int, duration time.Duration) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var group sync.WaitGroup
	var fault error
	events := int64(0)
	begun, busy := time.Now(), processorTime()
	for caller := range callers {
		group.Go(func() {
			latency, n, err := callFor(ctx, c, caller, begun.Add(duration))
			mu.Lock()
			defer mu.Unlock()
			t.latency.merge(latency)
			events += n
			if err != nil && fault == nil {
				fault = fmt.Errorf("%s: %w", c.name, err)
				cancel()
			}
		})
	}
	group.Wait()
	t.add(events, time.Since(begun), processorTime()-busy)
	return fault
}

// callFor makes calls until the deadline, and one at least.
func callFor(ctx context.Context, c contender, caller int, deadline time.Time) (*histogram, int64, error) {
	latency := new(histogram)
	events := int64(0)
	for before := time.Now(); ; {
		n, err := c.call(ctx, caller)
		if err != nil {
			return latency, events, err
		}
		now := time.Now()
		latency.add(now.Sub(before))
		events += int64(n)
		if before = now; !now.Before(deadline) {
			return latency, events, nil
		}
	}
}

func (t *tally) result(name string, callers int) Result {
	return Result{
		CPU:             float64(t.busy.Nanoseconds()) / 1e3 / float64(max(t.events, 1)),
		Name:            name,
		Callers:         callers,
		EventsPerSecond: float64(t.events) / t.elapsed.Seconds(),
		P50:             milliseconds(t.latency.quantile(0.50)),
		P99:             milliseconds(t.latency.quantile(0.99)),
		Max:             milliseconds(t.latency.max),
		Calls:           t.latency.n,
		Events:          t.events,
		Seconds:         t.elapsed.Seconds(),
		Rounds:          t.rounds,
	}
}
