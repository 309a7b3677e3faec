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
	// quietAfter is for how long a reader must have got nothing new to count as one that gets nothing
	// more.
	quietAfter = 3 * time.Second
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

// tail writes for a while, and counts what a reader has got when it gets nothing more.
func (r *rival) tail(ctx context.Context, duration time.Duration) (_ Result, err error) {
	var got audience
	following, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- r.store.Tail(following, got.deliver) }()

	// Whatever it appended is committed, or it is an error: so the events are those of the streams
	// from 1 on, one of each.
	var written tally
	if err := written.round(ctx, r.appends(1), tailWriters, duration); err != nil {
		stop()
		return Result{}, errors.Join(err, <-ended)
	}
	committed := r.begun.Load()
	if err := got.settle(ctx, committed, ended); err != nil {
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
	mu      sync.Mutex
	times   map[int64]int // by stream
	changed time.Time     // when the reader got a stream that was new to it
}

func (a *audience) deliver(stream int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.times == nil {
		a.times = make(map[int64]int)
	}
	if a.times[stream]++; a.times[stream] == 1 {
		a.changed = time.Now()
	}
}

// progress returns how many streams the reader has got, and when it got the last one.
func (a *audience) progress() (streams int64, changed time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return int64(len(a.times)), a.changed
}

// settle waits until the reader has all or gets nothing more. It is an error if the reader ends.
func (a *audience) settle(ctx context.Context, committed int64, ended <-chan error) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for begun := time.Now(); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-ended:
			return errors.Join(errors.New("the reader ended by itself"), err)
		case now := <-ticker.C:
			streams, changed := a.progress()
			if streams == committed || now.Sub(begun) > quietAfter && now.Sub(changed) > quietAfter {
				return nil
			}
		}
	}
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
