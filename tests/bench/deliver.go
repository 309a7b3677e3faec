package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// Deliver measures how subscriptions follow a log, and what they cost.
type Deliver struct {
	// Rate is how many events a second are appended while subscriptions follow.
	Rate int
	// Subscriptions is how many get every event, each with so many Partitions.
	Subscriptions, Partitions int
	// Many is how many there are of which as many get an event as there are Subscriptions, each with so
	// many ManyPartitions.
	Many, ManyPartitions int
	// Events is how long the log is that is caught up with; an outage has half of them, receivers get a
	// tenth.
	Events int
	// Duration is how long each contender takes, all rounds together, and how long one looks at who is idle.
	// One that catches up is not interrupted.
	Duration time.Duration
	// Only, if it is not empty, has the names of the parts to measure.
	Only []string
}

// The parts of Deliver.
const (
	partLive    = "live"
	partIdle    = "idle"
	partCatchUp = "catch-up"
	partOutage  = "outage"
	partHTTP    = "http"
)

// DeliverParts are what Deliver.Only can have.
var DeliverParts = []string{partLive, partIdle, partCatchUp, partOutage, partHTTP}

// deliverRounds are fewer than those of shorter calls.
const deliverRounds = 3

const (
	maxSubscriptions = 100_000
	maxPartitions    = 256
)

// Name implements Benchmark.
func (d Deliver) Name() string { return "deliver" }

// Check implements Benchmark.
func (d Deliver) Check() error {
	if d.Rate < 1 || d.Rate > maxRate {
		return invalid("the rate must be 1 to %d events a second, got %d", maxRate, d.Rate)
	}
	for _, n := range []int{d.Subscriptions, d.Many} {
		if n < 1 || n > maxSubscriptions {
			return invalid("there must be 1 to %d subscriptions, got %d", maxSubscriptions, n)
		}
	}
	if d.Many%d.Subscriptions != 0 {
		return invalid("there must be a multiple of %d for many subscriptions, got %d", d.Subscriptions, d.Many)
	}
	for _, n := range []int{d.Partitions, d.ManyPartitions} {
		if n < 1 || n > maxPartitions || n&(n-1) != 0 {
			return invalid("the number of partitions must be a power of two up to %d, got %d", maxPartitions, n)
		}
	}
	for _, name := range d.Only {
		if !slices.Contains(DeliverParts, name) {
			return invalid("there is no part %q, only %v", name, DeliverParts)
		}
	}
	if d.Events < minDelivered {
		return invalid("there must be at least %d events, got %d", minDelivered, d.Events)
	}
	return errors.Join(checkDuration(d.Duration), checkEvents(d.Events))
}

func (d Deliver) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	all := make(map[string]float64)
	for i, measure := range []func(context.Context, *Env) ([]Result, map[string]float64, error){d.live, d.idle, d.catchUp, d.outage, d.http} {
		part := DeliverParts[i]
		if len(d.Only) > 0 && !slices.Contains(d.Only, part) {
			continue
		}
		found, compared, err := measure(ctx, env)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", part, err)
		}
		found, compared = asked(part, found, compared)
		results = append(results, found...)
		maps.Copy(all, compared)
	}
	return results, all, nil
}

// The contenders of the live part that have no number in their name.
const (
	nameAppendsOnly    = "appends only"
	nameOtherProcess   = "another process"
	nameNoSubscription = "no subscription"
)

func subscriptionCount(n int) string { return grouped(float64(n)) + " subscriptions" }

// live lets subscriptions follow who appends, here and, but for their having the process in common, elsewhere. The latency
// is from when an append returned until the last subscription has the event.
func (d Deliver) live(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	following := func(store func(context.Context, *scratch) (*pgstore.Store, error), subscriptions []delivery.Subscription) func(context.Context, *scratch, *eventstore.Codec) (reader, error) {
		return func(ctx context.Context, s *scratch, codec *eventstore.Codec) (reader, error) {
			events := int(float64(d.Rate)*d.Duration.Seconds()) + 1
			f := newFollowing(events, d.Subscriptions)
			own, err := store(ctx, s)
			if err != nil {
				return nil, err
			}
			return f, f.start(ctx, s, own, codec, subscriptions)
		}
	}
	here := func(context.Context, *scratch) (*pgstore.Store, error) { return nil, nil }
	elsewhere := func(ctx context.Context, s *scratch) (*pgstore.Store, error) {
		return pgstore.Open(ctx, pgstore.Config{Pool: s.pool, Schema: s.schema})
	}
	few, many := d.few(), d.many()
	contenders := []live{
		{name: nameAppendsOnly, follow: func(context.Context, *scratch, *eventstore.Codec) (reader, error) { return nobody{}, nil }},
		{name: subscriptionCount(len(few)), follow: following(here, few)},
		{name: nameOtherProcess, follow: following(elsewhere, few)},
	}
	if len(many) > len(few) {
		contenders = append(contenders, live{name: subscriptionCount(len(many)), follow: following(here, many)})
	}
	tallies := make([]tally, len(contenders))
	for round := range deliverRounds {
		for i, l := range contenders {
			env.say("%s at %d events a second, round %d of %d", l.name, d.Rate, round+1, deliverRounds)
			l.rate, l.newCodec, l.value = d.Rate, newPostCodec, func(n int) (string, any) { return post(n, d.topics()) }
			err := env.with(ctx, appenders, func(s *scratch) error { return l.round(ctx, s, d.Duration/deliverRounds, &tallies[i]) })
			if err != nil {
				return nil, nil, err
			}
		}
	}
	compared := make(map[string]float64)
	var cost []float64 // of each event, besides that of its append
	for i, l := range contenders {
		r := tallies[i].result(l.name, appenders)
		results = append(results, r)
		cost = append(cost, r.CPU-results[0].CPU)
		if i > 0 {
			compared[fmt.Sprintf("%s/wanted@%d", l.name, appenders)] = r.EventsPerSecond / float64(d.Rate)
		}
		if i > 1 && cost[1] > 0 && cost[i] > 0 {
			compared[fmt.Sprintf("CPU besides appends %s/%s@%d", l.name, contenders[1].name, appenders)] = cost[i] / cost[1]
		}
	}
	return results, compared, nil
}

// nobody follows.
type nobody struct{}

func (nobody) reach(context.Context, eventstore.Token) error { return nil }
func (nobody) stop(context.Context) error                    { return nil }

// idle looks at subscriptions of a log to which nobody appends.
func (d Deliver) idle(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	for _, subscriptions := range [][]delivery.Subscription{nil, d.many()} {
		name := nameNoSubscription
		if len(subscriptions) > 0 {
			name = subscriptionCount(len(subscriptions))
		}
		env.say("%s idle for %s", name, d.Duration)
		err := env.with(ctx, appenders, func(s *scratch) (err error) {
			codec, err := newPostCodec()
			if err != nil {
				return err
			}
			f := newFollowing(0, 0)
			if err := f.start(ctx, s, nil, codec, subscriptions); err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.stop(ctx)) }()
			i, err := s.watchIdle(ctx, d.Duration)
			results = append(results, Result{Name: name, Callers: 1, Seconds: d.Duration.Seconds(), Rounds: []float64{}, Idle: &i})
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	return results, nil, nil
}

// settling is how long who has just started is left alone before one looks whether it is idle: within 10 s all cursors move once.
const settling = 12 * time.Second

func (s *scratch) watchIdle(ctx context.Context, duration time.Duration) (i Idle, err error) {
	wait := func(d time.Duration) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := wait(min(settling, 2*duration)); err != nil {
		return i, err
	}
	before, err := s.wal(ctx)
	if err != nil {
		return i, err
	}
	begun, busy := time.Now(), processorTime()
	if err := wait(duration); err != nil {
		return i, err
	}
	seconds := time.Since(begun).Seconds()
	i.CPUPercent = 100 * (processorTime() - busy).Seconds() / seconds
	after, err := s.wal(ctx)
	i.WALBytes = float64(after-before) / seconds
	return i, err
}

// wal returns how many bytes the server has written to its WAL, ever.
func (s *scratch) wal(ctx context.Context) (bytes int64, err error) {
	err = s.pool.QueryRow(ctx, `SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint`).Scan(&bytes)
	return bytes, err
}

// topics is how many topics there are for Many subscriptions, so that Subscriptions of them get an event.
func (d Deliver) topics() int { return d.Many / d.Subscriptions }

// few are subscriptions that get every event.
func (d Deliver) few() (list []delivery.Subscription) {
	for i := range d.Subscriptions {
		list = append(list, subscription(fmt.Sprintf("few-%d", i), d.Partitions))
	}
	return list
}

// many are subscriptions to one topic each.
func (d Deliver) many() (list []delivery.Subscription) {
	for i := range d.Many {
		s := subscription(fmt.Sprintf("many-%d", i), d.ManyPartitions)
		s.Filter = fmt.Appendf(nil, `{"data":{"topic":[%q]}}`, topic(i%d.topics()))
		list = append(list, s)
	}
	return list
}

// liveHandler is the handler of few and many.
const liveHandler = "live"

func subscription(name string, partitions int) delivery.Subscription {
	return delivery.Subscription{Definition: delivery.Definition{
		Name: name, Partitions: partitions, Start: delivery.Start{At: delivery.AtEnd},
		Target: delivery.TargetConfig{Handler: &delivery.HandlerTarget{Name: liveHandler}},
	}}
}
