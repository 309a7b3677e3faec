package bench

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// errDown is what those get whom the outage of one is about.
var errDown = errors.New("down")

// outage lets most streams fail until all their events are rows, and then succeed until all are delivered. To the
// others somebody appends: where nothing gets through it is the target that is down, and nothing becomes a row.
func (d Deliver) outage(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	err = d.with(ctx, env, d.Events/2, func(w *worker) error {
		var parked, drained tally
		for round := range deliverRounds {
			env.say("outage, round %d of %d", round+1, deliverRounds)
			if err := d.breakDown(ctx, w, &parked, &drained); err != nil {
				return err
			}
		}
		results = []Result{parked.result(namePark, 1), drained.result(nameDrain, 1)}
		return nil
	})
	return results, nil, err
}

func (d Deliver) breakDown(ctx context.Context, w *worker, parked, drained *tally) (err error) {
	fine, rows := make(map[string]bool), int64(0)
	for n := range d.Events / 2 {
		if n%postStreams%fineShare != 0 {
			rows++
		} else if n < postStreams {
			stream, _ := post(n, 1)
			fine[stream] = true
		}
	}
	var parking, mended atomic.Bool
	parking.Store(true)
	var mend sync.Once
	begun, busy := time.Now(), processorTime()
	c := newCountdown(int(rows))
	r, err := w.start(ctx, func(name string) *delivery.Handler {
		return delivery.HandleRaw(name, func(_ context.Context, d *delivery.Delivery) error {
			switch e := &d.Events[0]; {
			case fine[e.Stream]:
				return nil
			case !mended.Load():
				return errDown
			}
			mend.Do(func() { begun, busy = time.Now(), processorTime() })
			c.count(len(d.Events))
			return nil
		}, delivery.Quick())
	}, func(definition *delivery.Definition) {
		definition.Partitions, definition.MaxParked = d.Partitions, max(int(rows), 1)
		definition.Breaker.Keys = 2 * postStreams
		definition.Retry = delivery.Retry{MaxAttempts: 1000, First: retryEvery, Factor: 1, Cap: retryEvery}
	}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRunner(ctx, r)) }()
	head, err := w.s.store.Head(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the outage does not end"))
	defer cancel()
	group, appending := errgroup.WithContext(ctx)
	group.Go(func() error {
		err := await(appending, func() bool {
			stats := r.Stats()
			all := stats.Subscriptions
			return len(all) == 1 && int64(all[0].Parked) == rows && all[0].Lag >= 0 && stats.Position-all[0].Lag >= head.Position
		})
		parking.Store(false)
		return err
	})
	group.Go(func() error { return w.keepAppending(appending, slices.Collect(maps.Keys(fine)), &parking) })
	if err := group.Wait(); err != nil {
		return err
	}
	took := time.Since(begun)
	parked.add(rows, took, processorTime()-busy)
	parked.latency.add(took)
	mended.Store(true)
	select {
	case <-c.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	took = time.Since(begun)
	drained.add(rows, took, processorTime()-busy)
	drained.latency.add(took)
	return nil
}

// keepAppending appends to streams in turns as long as it is told to.
func (w *worker) keepAppending(ctx context.Context, streams []string, wanted *atomic.Bool) error {
	event, err := w.codec.Encode(posted{Text: noteText})
	if err != nil {
		return err
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for n := 0; wanted.Load(); n++ {
		_, err := w.s.store.Append(ctx, eventstore.StreamAppend{Stream: streams[n%len(streams)], Expected: eventstore.Any, Events: []eventstore.Event{event}}, eventstore.AppendOptions{})
		if err != nil {
			return err
		}
		<-ticker.C
	}
	return nil
}
