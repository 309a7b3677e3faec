package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop"
)

// Rebuild measures how fast read models are built anew from a whole log: a fold with a row per
// stream against the usual loop, and those of the shop.
type Rebuild struct {
	// Events is how long the log of the fold is, ShopEvents about how long that of the shop; 0 leaves
	// the shop out.
	Events, ShopEvents int
	// Duration is how long to measure each contender at least. One rebuild is a call, and is finished.
	Duration time.Duration
	// MemoryMiB bounds the rows in memory, as it does for projections rebuild.
	MemoryMiB int
}

const maxMemoryMiB = 64 << 10

// Name implements Benchmark.
func (r Rebuild) Name() string { return "rebuild" }

// Check implements Benchmark.
func (r Rebuild) Check() error {
	if r.MemoryMiB < 1 || r.MemoryMiB > maxMemoryMiB {
		return invalid("memory must be 1 to %d MiB, got %d", maxMemoryMiB, r.MemoryMiB)
	}
	if r.ShopEvents != 0 {
		if err := checkEvents(r.ShopEvents); err != nil {
			return err
		}
	}
	return errors.Join(checkDuration(r.Duration), checkEvents(r.Events))
}

// rebuildRounds are fewer than those of shorter calls.
const rebuildRounds = 3

const nameRebuild, nameTogether = "rebuild", "all together"

func (r Rebuild) run(ctx context.Context, env *Env) (results []Result, found map[string]float64, err error) {
	err = env.with(ctx, appenders, func(s *scratch) (err error) {
		results, err = r.measureFold(ctx, env, s)
		return err
	})
	found = ratios(results, "", nameRebuild, rate)
	if err == nil && r.ShopEvents > 0 {
		err = env.with(ctx, appenders, func(s *scratch) error {
			shop, err := r.measureShop(ctx, env, s)
			results = append(results, shop...)
			found[nameTogether+"/one by one@1"] = together(shop)
			return err
		})
	}
	return results, found, err
}

// rebuilt is a contender: the rebuild of projections.
type rebuilt struct {
	name        string
	projections []projections.Projection
}

// measureFold measures the fold and the loop in turns.
func (r Rebuild) measureFold(ctx context.Context, env *Env, s *scratch) ([]Result, error) {
	codec, err := newNoteCodec()
	if err != nil {
		return nil, err
	}
	env.say("appending %d events", r.Events)
	streams := max(r.Events/notesPerStream, 1)
	err = s.fillAppends(ctx, codec, r.Events, func(n int) []streamEvent {
		return []streamEvent{{fmt.Sprintf("note-%d", n%streams), noted{n, noteText}}}
	})
	if err != nil {
		return nil, err
	}
	l, err := s.newLoop(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { l.stop() }()
	return r.compete(ctx, env, s, codec, []rebuilt{{nameRebuild, []projections.Projection{newNotes()}}}, contender{nameLoop, l.one})
}

// measureShop measures the shop's read models, one after the other and all together.
func (r Rebuild) measureShop(ctx context.Context, env *Env, s *scratch) ([]Result, error) {
	codec, err := shop.App().Codec()
	if err != nil {
		return nil, err
	}
	env.say("appending %d events of a shop", r.ShopEvents)
	if err := s.fillAppends(ctx, codec, max(r.ShopEvents/eventsPerOrder, 1), placedAndConfirmed); err != nil {
		return nil, err
	}
	var list []rebuilt
	for _, p := range shop.App().Projections() {
		list = append(list, rebuilt{p.Name(), []projections.Projection{p}})
	}
	list = append(list, rebuilt{nameTogether, shop.App().Projections()})
	return r.compete(ctx, env, s, codec, list)
}

// compete lets rebuilds and others take turns.
func (r Rebuild) compete(ctx context.Context, env *Env, s *scratch, codec *eventstore.Codec, list []rebuilt, others ...contender) ([]Result, error) {
	if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE events`); err != nil {
		return nil, err
	}
	head, err := s.store.Head(ctx)
	if err != nil {
		return nil, err
	}
	watches := make([]memoryWatch, len(list))
	var contenders []contender
	for i, one := range list {
		runner, err := projections.NewRunner(projections.Config{Pool: s.pool, Schema: s.schema, Store: s.store, Codec: codec}, one.projections...)
		if err != nil {
			return nil, err
		}
		contenders = append(contenders, contender{one.name, forgotten(watches[i].watching(func(ctx context.Context, _ int) (int, error) {
			return int(head.Position), r.rebuild(ctx, runner, one.projections)
		}))})
	}
	results, err := compete(ctx, env, pace{1, r.Duration, rebuildRounds}, append(contenders, others...)...)
	if err != nil {
		return nil, err
	}
	for i, w := range watches {
		results[i].PeakMemoryMB = megabytes(w.all)
	}
	return results, nil
}

// rebuild builds projections anew and removes the rows of before.
func (r Rebuild) rebuild(ctx context.Context, runner *projections.Runner, all []projections.Projection) error {
	keep := 0
	var requests []operations.Request
	for _, p := range all {
		requests = append(requests, operations.Request{
			Kind: projections.Rebuild, Subject: p.Name(), Actor: "bench",
			Options: operations.Options{Keep: &keep, MemoryBytes: int64(r.MemoryMiB) << 20},
		})
	}
	_, errs := runner.RunAll(ctx, requests, nil)
	return errors.Join(errs...)
}

// together returns how many times as fast all rebuilds together are as one after the other.
func together(results []Result) float64 {
	var oneByOne, all float64
	for _, r := range results {
		if perEvent := 1 / r.EventsPerSecond; r.Name == nameTogether {
			all = perEvent
		} else {
			oneByOne += perEvent
		}
	}
	return oneByOne / all
}

// streamEvent is an event and the stream that it goes to.
type streamEvent struct {
	stream string
	value  any
}

// eventsPerOrder is how many events placedAndConfirmed returns.
const eventsPerOrder = 4

// placedAndConfirmed is what order number n leaves in the log of a shop.
func placedAndConfirmed(n int) []streamEvent {
	stream, value := placedOrder(n)
	placed := value.(order.Placed)
	events := []streamEvent{{stream, placed}}
	for _, line := range placed.Lines {
		events = append(events, streamEvent{"stock-" + line.SKU, stock.Reserved{SKU: line.SKU, OrderID: placed.ID, Quantity: line.Quantity, At: placed.At}})
	}
	return append(events, streamEvent{stream, order.Confirmed{ID: placed.ID, CustomerID: placed.CustomerID, At: placed.At}})
}

// fillAppends appends what events returns for 0 to n - 1, each at once, many of them in one append:
// this is not what is measured.
func (s *scratch) fillAppends(ctx context.Context, codec *eventstore.Codec, n int, events func(int) []streamEvent) error {
	const together = 50
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(appenders)
	for first := 0; first < n && ctx.Err() == nil; first += together {
		group.Go(func() error {
			var appends []eventstore.StreamAppend
			for i := first; i < min(first+together, n); i++ {
				for _, e := range events(i) {
					event, err := codec.Encode(e.value)
					if err != nil {
						return err
					}
					appends = append(appends, eventstore.StreamAppend{Stream: e.stream, Expected: eventstore.Any, Events: []eventstore.Event{event}})
				}
			}
			_, err := s.store.AppendStreams(ctx, appends, eventstore.AppendOptions{})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("fill the log: %w", err)
	}
	return nil
}
