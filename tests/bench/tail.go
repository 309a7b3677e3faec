package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// tailWriters is how many callers write while a reader follows.
	tailWriters = 16
	// patience is how long a reader may take to get to the end when nobody writes any more.
	patience = 2 * time.Minute
)

// tails lets a reader follow each store, one store after the other, while others write.
func (c Compare) tails(ctx context.Context, env *Env) (results []Result, _ error) {
	err := c.stage(ctx, env, tailWriters, func(rivals []*rival) error {
		for _, r := range rivals {
			if r.appendsOnly {
				continue
			}
			env.say("%d writers and a reader of %s", tailWriters, r.name)
			found, err := r.tail(ctx, c.Tail)
			if err != nil {
				return fmt.Errorf("follow %s: %w", r.name, err)
			}
			results = append(results, found)
		}
		return nil
	})
	return results, err
}

// tail writes for a while, and counts what a reader has got when it is past all of that: when it
// gets an event that was appended after all others were committed.
func (r *rival) tail(ctx context.Context, duration time.Duration) (_ Result, err error) {
	var got audience
	following, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.store.Tail(following, got.deliver) }()

	// Whatever it appended is committed, or it is an error: so the events are those of the streams
	// from 1 on, one of each.
	var written tally
	err = written.round(ctx, r.appends(1), tailWriters, duration)
	if err == nil {
		_, err = r.appends(1).call(ctx, 0)
	}
	if err != nil {
		stop()
		return Result{}, errors.Join(err, <-ended)
	}
	committed := r.begun.Load()
	if err := got.await(ctx, committed, ended); err != nil {
		return Result{}, err
	}
	stop()
	if err := <-ended; err != nil {
		return Result{}, err
	}
	n, err := r.store.ReadAll(ctx)
	if err := wrongCount(err, r.name, n, int(committed)); err != nil {
		return Result{}, err
	}
	delivery := got.count(committed)
	result := written.result(r.name, tailWriters)
	result.Delivery = &delivery
	return result, nil
}

// audience notes what a reader gets.
type audience struct {
	mu    sync.Mutex
	times map[int64]int // by stream
}

func (a *audience) deliver(stream int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times == nil {
		a.times = make(map[int64]int)
	}
	a.times[stream]++
}

func (a *audience) has(stream int64) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.times[stream] > 0
}

// await waits until the reader has got the event of a stream. It is an error if the reader ends
// before.
func (a *audience) await(ctx context.Context, stream int64, ended <-chan error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the reader does not get to the end"))
	defer cancel()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !a.has(stream) {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case err := <-ended:
			return errors.Join(errors.New("the reader ended by itself"), err)
		case <-ticker.C:
		}
	}
	return nil
}

// count compares what the reader got with the streams from 1 to committed.
func (a *audience) count(committed int64) Delivery {
	d := Delivery{Committed: committed}
	for stream := range committed {
		switch n := a.times[stream+1]; {
		case n == 0:
			d.Missed++
		case n > 1:
			d.Twice++
		}
	}
	return d
}
