package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// The contenders that go from one end of a log to the other.
const (
	nameAll           = "all"
	nameOneType       = "one type of ten"
	nameTransactional = "transactional"
	nameReadOnly      = "read only"
	namePark          = "park"
	nameDrain         = "drain"
	nameTarget        = "target"
	nameWebhook       = "webhook"
	namePost          = "post"
)

const (
	// minDelivered is as few events as show anything of an outage.
	minDelivered = 10 * postStreams
	// inTransaction is how many events share a transaction.
	inTransaction = 1000
	// fineShare: one in so many streams never fails.
	fineShare = 4
	// httpInFlight is how many requests are made at once.
	httpInFlight = 64
)

// worker delivers a log from its beginning, each time for a subscription of its own and by a runner that is started
// and stopped.
type worker struct {
	s     *scratch
	codec *eventstore.Codec
	runs  int
}

// with fills a log and runs use.
func (d Deliver) with(ctx context.Context, env *Env, events int, use func(*worker) error) error {
	return env.with(ctx, appenders, func(s *scratch) error {
		codec, err := newPostCodec()
		if err != nil {
			return err
		}
		env.say("appending %d events", events)
		err = s.fillAppends(ctx, codec, events, func(n int) []streamEvent {
			stream, value := post(n, d.topics())
			return []streamEvent{{stream, value}}
		})
		if err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE events`); err != nil {
			return err
		}
		return use(&worker{s: s, codec: codec})
	})
}

// start begins to deliver. The name that change finds in the definition is of this run alone, and so is handler's.
func (w *worker) start(ctx context.Context, handler func(name string) *delivery.Handler, change func(*delivery.Definition), targets map[string]delivery.TargetFactory) (*delivery.Runner, error) {
	w.runs++
	s := delivery.Subscription{Definition: delivery.Definition{Name: fmt.Sprintf("run-%d", w.runs), Start: delivery.Start{At: delivery.AtBeginning}}}
	if handler != nil {
		s.Handler = handler(s.Name)
	}
	if change != nil {
		change(&s.Definition)
	}
	r, err := delivery.NewRunner(delivery.Config{
		Pool: w.s.pool, Schema: w.s.schema, App: "bench", Store: w.s.store, Codec: w.codec,
		Subscriptions: []delivery.Subscription{s}, Targets: targets,
	})
	if err != nil {
		return nil, err
	}
	return r, r.Start(context.WithoutCancel(ctx))
}

func stopRunner(ctx context.Context, r *delivery.Runner) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), startPatience)
	defer cancel()
	return r.Stop(ctx)
}

// until delivers until done is closed.
func (w *worker) until(ctx context.Context, done <-chan struct{}, handler func(string) *delivery.Handler, change func(*delivery.Definition), targets map[string]delivery.TargetFactory) (err error) {
	r, err := w.start(ctx, handler, change, targets)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stopRunner(ctx, r)) }()
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errors.New("not all events are delivered"))
	defer cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// countdown closes a channel when so many events have come.
type countdown struct {
	left atomic.Int64
	done chan struct{}
}

func newCountdown(events int) *countdown {
	c := &countdown{done: make(chan struct{})}
	c.left.Store(int64(events))
	return c
}

func (c *countdown) count(events int) {
	if c.left.Add(-int64(events)) == 0 {
		close(c.done)
	}
}

func (c *countdown) ended() bool { return c.left.Load() <= 0 }

// A row for each partition is the effect of transactional handlers.
const (
	createEffects = `CREATE TABLE bench_effects (subscription text, partition int, events bigint NOT NULL, PRIMARY KEY (subscription, partition))`
	countEffects  = `
INSERT INTO bench_effects VALUES ($1, $2, $3)
ON CONFLICT (subscription, partition) DO UPDATE SET events = bench_effects.events + excluded.events`
)

// catchUp lets subscriptions work off a log, and who reads it and does nothing else. Events are those of the log, whether or
// not they match.
func (d Deliver) catchUp(ctx context.Context, env *Env) (results []Result, compared map[string]float64, err error) {
	err = d.with(ctx, env, d.Events, func(w *worker) error {
		if _, err := w.s.pool.Exec(ctx, createEffects); err != nil {
			return err
		}
		partitions := func(definition *delivery.Definition) { definition.Partitions = d.Partitions }
		raw := func(c *countdown) func(string) *delivery.Handler {
			return func(name string) *delivery.Handler {
				return delivery.HandleRaw(name, func(_ context.Context, d *delivery.Delivery) error { c.count(len(d.Events)); return nil }, delivery.Quick())
			}
		}
		run := func(events int, handler func(*countdown) func(string) *delivery.Handler, change func(*delivery.Definition)) func(context.Context, int) (int, error) {
			return func(ctx context.Context, _ int) (int, error) {
				c := newCountdown(events)
				return d.Events, w.until(ctx, c.done, handler(c), change, nil)
			}
		}
		contenders := []contender{
			{nameAll, run(d.Events, raw, partitions)},
			{nameOneType, run(pinnedOf(d.Events), raw, func(definition *delivery.Definition) {
				partitions(definition)
				definition.Filter = json.RawMessage(`{"type":["` + typePinned + `"]}`)
			})},
			{nameTransactional, run(d.Events, func(c *countdown) func(string) *delivery.Handler {
				return func(name string) *delivery.Handler {
					return delivery.HandleTxRaw(name, func(ctx context.Context, tx delivery.Tx, d *delivery.Delivery) error {
						_, err := tx.Exec(ctx, countEffects, d.Subscription, d.Partition, len(d.Events))
						if err == nil {
							c.count(len(d.Events)) // no transaction fails here
						}
						return err
					})
				}
			}, func(definition *delivery.Definition) {
				partitions(definition)
				definition.Batch.MaxEvents = inTransaction
			})},
			{nameReadOnly, func(ctx context.Context, _ int) (n int, _ error) {
				for _, err := range w.s.store.ReadAll(ctx, eventstore.ReadOptions{}) {
					if err != nil {
						return n, err
					}
					n++
				}
				return n, nil
			}},
		}
		results, err = compete(ctx, env, pace{1, d.Duration, deliverRounds}, contenders...)
		return err
	})
	return results, ratios(results, "", nameAll, rate), err
}

// pinnedOf returns how many of the first n posts are pinned.
func pinnedOf(n int) (pinned int) {
	for i := range n {
		if i/postStreams%pinnedShare == 0 {
			pinned++
		}
	}
	return pinned
}
