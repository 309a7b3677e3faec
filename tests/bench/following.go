package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// following is a runner with subscriptions, and when its handler got which event of a log that was empty.
type following struct {
	runner *delivery.Runner
	// store is its own; nil: it has that of those who append.
	store *pgstore.Store
	// each is how many subscriptions get an event.
	each                int
	begun               time.Time
	appends, deliveries atomic.Int64
	// appendedAt and deliveredAt are, by position, nanoseconds since begun.
	appendedAt, deliveredAt []atomic.Int64
}

var _ witness = (*following)(nil)

func newFollowing(events, each int) *following {
	const first = 2 // the position of the first event, see start
	return &following{each: each, begun: time.Now(), appendedAt: make([]atomic.Int64, events+first), deliveredAt: make([]atomic.Int64, events+first)}
}

// start returns when all subscriptions are at the end of the log, in which there is an event then.
func (f *following) start(ctx context.Context, s *scratch, own *pgstore.Store, codec *eventstore.Codec, subscriptions []delivery.Subscription) (err error) {
	if err := s.fillAppends(ctx, codec, 1, func(n int) []streamEvent {
		stream, value := post(n, 1)
		return []streamEvent{{stream, value}}
	}); err != nil {
		return err
	}
	c := delivery.Config{
		Pool: s.pool, Schema: s.schema, App: "bench", Store: s.store, Codec: codec,
		Subscriptions: subscriptions, Handlers: []*delivery.Handler{delivery.HandleRaw(liveHandler, f.deliver, delivery.Quick())},
	}
	if f.store = own; own != nil {
		c.Store = own
	}
	partitions := 0
	for i := range subscriptions {
		partitions += subscriptions[i].Partitions
	}
	if f.runner, err = delivery.NewRunner(c); err != nil {
		return err
	}
	if err := f.runner.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(fmt.Errorf("start to deliver: %w", err), f.stop(ctx))
	}
	starting, cancel := context.WithTimeoutCause(ctx, patience, errors.New("subscriptions do not start"))
	defer cancel()
	err = await(starting, func() bool {
		stats := f.runner.Stats()
		here := 0
		for _, one := range stats.Subscriptions {
			here += one.Partitions - one.Behind
		}
		return stats.Member && here == partitions
	})
	if err != nil {
		return errors.Join(err, f.stop(ctx))
	}
	return nil
}

// await looks again and again whether something is so, not so often that it shows in what is measured.
func await(ctx context.Context, so func() bool) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !so() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (f *following) deliver(_ context.Context, d *delivery.Delivery) error {
	now := int64(time.Since(f.begun))
	for i := range d.Events {
		f.deliveredAt[d.Events[i].Position].Store(now)
	}
	f.deliveries.Add(int64(len(d.Events)))
	return nil
}

func (f *following) appended(at eventstore.Token) {
	f.appendedAt[at.Position].Store(int64(time.Since(f.begun)))
	f.appends.Add(1)
}

// reach waits until all that was appended has been delivered.
func (f *following) reach(ctx context.Context, _ eventstore.Token) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("not all events are delivered"))
	defer cancel()
	return await(ctx, func() bool { return f.deliveries.Load() >= f.appends.Load()*int64(f.each) })
}

func (f *following) latency() (h histogram) {
	for i := range f.appendedAt {
		if at := f.appendedAt[i].Load(); at > 0 {
			h.add(max(time.Duration(f.deliveredAt[i].Load()-at), 1))
		}
	}
	return h
}

func (f *following) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startPatience)
	defer cancel()
	err := f.runner.Stop(ctx)
	if f.store != nil {
		err = errors.Join(err, f.store.Close(ctx))
	}
	if err != nil {
		return fmt.Errorf("stop to deliver: %w", err)
	}
	return nil
}
