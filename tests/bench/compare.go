package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// Compare measures Recount, two baselines and other event stores side by side: what it takes to
// append, to load a stream and to read all, and what a reader misses who follows while others
// write.
type Compare struct {
	// Peers are the other stores. Default: none, only baselines.
	Peers []Peer `json:"-"`
	// Callers are the numbers of callers to append single events with.
	Callers []int
	// Duration is how long to measure each contender with each question and number of callers.
	Duration time.Duration
	// Batch is how many events an append has where it has several.
	Batch int
	// Events is how many there are to load and to read.
	Events int
	// Tail is how long to write while a reader follows.
	Tail time.Duration
}

const (
	batchCallers = 16
	// loadEvents is how many events a stream has that is loaded.
	loadEvents = 10
	// fillers is how many callers write what is to be read.
	fillers = 8
)

// Name implements Benchmark.
func (c Compare) Name() string { return "compare" }

// Check implements Benchmark.
func (c Compare) Check() error {
	switch {
	case c.Batch < 1 || c.Batch > maxBatch:
		return invalid("a batch must have 1 to %d events, got %d", maxBatch, c.Batch)
	case c.Events < loadEvents:
		return invalid("there must be %d events or more to load a stream of, got %d", loadEvents, c.Events)
	}
	return errors.Join(checkCallers(c.Callers), checkDuration(c.Duration), checkDuration(c.Tail), checkEvents(c.Events))
}

// notes says what the peers are.
func (c Compare) notes() []string {
	list := []string{
		"`counter-row`, `unordered`: baselines with tables of Recount's shape. Their readers ask for `position > last`: [`Tail`](../tests/bench/basestore.go).",
	}
	for _, p := range c.Peers {
		list = append(list, fmt.Sprintf("`%s`: %s", p.Name, p.About))
	}
	return list
}

func (c Compare) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, _ error) {
	if err := c.checkConnections(ctx, env); err != nil {
		return nil, nil, err
	}
	all := make(map[string]float64)
	answer := func(question string, list []Result, kinds ...func([]Result) map[string]float64) {
		found := make(map[string]float64)
		for _, kind := range kinds {
			maps.Copy(found, kind(list))
		}
		list, named := asked(question, list, found)
		results = append(results, list...)
		maps.Copy(all, named)
	}
	rates := func(list []Result) map[string]float64 { return ratios(list, "", nameRecount, rate) }
	medians := func(list []Result) map[string]float64 { return ratios(list, "p50 ", nameRecount, median) }

	singles, err := c.appends(ctx, env, c.Callers, 1)
	if err != nil {
		return nil, nil, err
	}
	answer("append 1 event to a new stream", singles, rates)
	batches, err := c.appends(ctx, env, []int{batchCallers}, c.Batch)
	if err != nil {
		return nil, nil, err
	}
	answer(fmt.Sprintf("append %d events to a new stream", c.Batch), batches, rates)
	loads, reads, err := c.reads(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	answer(fmt.Sprintf("load a stream of %d events", loadEvents), loads, rates, medians)
	answer(fmt.Sprintf("read all %d events", c.Events), reads, rates)
	tails, err := c.tails(ctx, env)
	if err != nil {
		return nil, nil, err
	}
	answer(fmt.Sprintf("follow %d writers", tailWriters), tails)
	return results, all, nil
}

// checkConnections makes sure that the server has connections for all stores at once.
func (c Compare) checkConnections(ctx context.Context, env *Env) error {
	conn, err := pgx.Connect(ctx, env.dsn)
	if err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var limit int
	if err := conn.QueryRow(ctx, `SELECT current_setting('max_connections')::int`).Scan(&limit); err != nil {
		return fmt.Errorf("read the server's settings: %w", err)
	}
	most := max(slices.Max(c.Callers), batchCallers, fillers, tailWriters)
	if need := (1+len(c.Peers))*poolSize(most) + 2*storeConns; need > limit {
		return invalid("%d callers of %d stores need %d connections, and the server has %d (max_connections); have fewer, or leave stores out",
			most, 3+len(c.Peers), need, limit)
	}
	return nil
}

// appends measures appends of so many events, with empty stores for each number of callers.
func (c Compare) appends(ctx context.Context, env *Env, numbers []int, events int) (results []Result, _ error) {
	for _, callers := range numbers {
		err := c.stage(ctx, env, callers, func(rivals []*rival) error {
			var contenders []contender
			for _, r := range rivals {
				contenders = append(contenders, r.appends(events))
			}
			found, err := compete(ctx, env, pace{callers, c.Duration, defaultRounds}, contenders...)
			results = append(results, found...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return results, nil
}

// reads measures loads of streams and reads of all that there is.
func (c Compare) reads(ctx context.Context, env *Env) (loads, reads []Result, _ error) {
	streams := int64(c.Events / loadEvents)
	err := c.stage(ctx, env, fillers, func(rivals []*rival) error {
		rivals = slices.DeleteFunc(rivals, func(r *rival) bool { return r.appendsOnly })
		var loading, reading []contender
		for _, r := range rivals {
			env.say("appending %d events to %s", c.Events, r.name)
			if err := errors.Join(r.fill(ctx, streams), r.vacuum(ctx)); err != nil {
				return fmt.Errorf("fill %s: %w", r.name, err)
			}
			loading = append(loading, contender{r.name, func(ctx context.Context, _ int) (int, error) {
				n, err := r.store.Load(ctx, 1+rand.Int64N(streams))
				return n, wrongCount(err, r.name, n, loadEvents)
			}})
			reading = append(reading, contender{r.name, func(ctx context.Context, _ int) (int, error) {
				n, err := r.store.ReadAll(ctx)
				return n, wrongCount(err, r.name, n, int(streams*loadEvents))
			}})
		}
		for _, callers := range []int{1, fillers} {
			found, err := compete(ctx, env, pace{callers, c.Duration, defaultRounds}, loading...)
			if err != nil {
				return err
			}
			loads = append(loads, found...)
		}
		var err error
		reads, err = compete(ctx, env, pace{1, c.Duration, defaultRounds}, reading...)
		return err
	})
	return loads, reads, err
}

// fill appends so many streams.
func (r *rival) fill(ctx context.Context, streams int64) error {
	add := r.appends(loadEvents).call
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fillers)
	for range streams {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			_, err := add(ctx, 0)
			return err
		})
	}
	return group.Wait()
}

// wrongCount makes an error of a read that found too much or too little.
func wrongCount(err error, name string, n, want int) error {
	if err == nil && n != want {
		return fmt.Errorf("%s returned %d events instead of %d", name, n, want)
	}
	return err
}
