package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/window"
	"github.com/57528e99/recount/eventstore"
)

// Window measures how fast a subscription counts events in windows, beside statements that somebody writes by hand.
type Window struct {
	// Events is how long the log is, Keys of how many keys its events are, Partitions how many the subscription has.
	Events, Keys, Partitions int
	// Duration is how long each contender takes, all rounds together. One is not interrupted.
	Duration time.Duration
}

// The contenders of Window.
const (
	nameWindows   = "windows"
	namePerEvent  = "upsert per event"
	namePerWindow = "upsert per batch"
)

// eventsPerWindow is how many events of a key are in a window.
const eventsPerWindow = 60

// measured is an event of it: a reading of a sensor.
type measured struct {
	Sensor string `json:"sensor"`
	At     int64  `json:"at"`
	Value  int64  `json:"value"`
}

// Name implements Benchmark.
func (w Window) Name() string { return "window" }

// Check implements Benchmark.
func (w Window) Check() error {
	if w.Keys < 1 || w.Keys > w.Events {
		return invalid("there must be 1 to %d keys, got %d", w.Events, w.Keys)
	}
	if w.Partitions < 1 || w.Partitions > maxPartitions || w.Partitions&(w.Partitions-1) != 0 {
		return invalid("the number of partitions must be a power of two up to %d, got %d", maxPartitions, w.Partitions)
	}
	return errors.Join(checkDuration(w.Duration), checkEvents(w.Events))
}

const (
	createCounted = `CREATE TABLE bench_counted (run text, sensor text, minute bigint, events bigint NOT NULL, total bigint NOT NULL, PRIMARY KEY (run, sensor, minute))`
	countOne      = `
INSERT INTO bench_counted AS c VALUES ($1, $2, $3, 1, $4)
ON CONFLICT (run, sensor, minute) DO UPDATE SET events = c.events + 1, total = c.total + excluded.total`
	countMany = `
INSERT INTO bench_counted AS c SELECT $1, * FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
ON CONFLICT (run, sensor, minute) DO UPDATE SET events = c.events + excluded.events, total = c.total + excluded.total`
)

func (w Window) run(ctx context.Context, env *Env) (results []Result, compared map[string]float64, err error) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[measured]("Measured", 1))
	if err != nil {
		return nil, nil, err
	}
	err = env.with(ctx, appenders, func(s *scratch) error {
		env.say("appending %d events", w.Events)
		err := s.fillAppends(ctx, codec, w.Events, func(n int) []streamEvent {
			// A second goes by with each round of the sensors.
			sensor := fmt.Sprintf("sensor-%d", n%w.Keys)
			return []streamEvent{{sensor, measured{sensor, 1_767_000_000 + int64(n/w.Keys), int64(n % 1000)}}}
		})
		if err == nil {
			_, err = s.pool.Exec(ctx, createCounted)
		}
		if err == nil {
			_, err = s.pool.Exec(ctx, `VACUUM ANALYZE events`)
		}
		if err != nil {
			return err
		}
		results, err = compete(ctx, env, pace{1, w.Duration, deliverRounds}, w.contenders(&worker{s: s, codec: codec})...)
		return err
	})
	return results, ratios(results, "", nameWindows, rate), err
}

func (w Window) contenders(k *worker) []contender {
	run := func(handler func(string) *delivery.Handler, change func(*delivery.Definition)) func(context.Context, int) (int, error) {
		return func(ctx context.Context, _ int) (int, error) {
			r, err := k.start(ctx, handler, func(d *delivery.Definition) {
				d.Partitions, d.Key, d.Filter = w.Partitions, delivery.Key{Path: "/data/sensor"}, []byte(`{"type":["Measured"]}`)
				d.Batch.MaxEvents, d.Batch.MaxBytes = 5000, 8<<20
				change(d)
			}, nil)
			if err != nil {
				return 0, err
			}
			ticker := time.NewTicker(5 * time.Millisecond)
			defer ticker.Stop()
			for r.Stats().Delivered < int64(w.Events) && ctx.Err() == nil {
				<-ticker.C
			}
			return w.Events, errors.Join(ctx.Err(), stopRunner(ctx, r))
		}
	}
	byHand := func(f func(ctx context.Context, tx delivery.Tx, run string, events []delivery.Decoded[measured]) error) func(context.Context, int) (int, error) {
		return run(func(name string) *delivery.Handler {
			return delivery.HandleTxBatch(name, func(ctx context.Context, tx delivery.Tx, events []delivery.Decoded[measured]) error {
				return f(ctx, tx, name, events)
			})
		}, func(*delivery.Definition) {})
	}
	return []contender{
		{nameWindows, run(nil, func(d *delivery.Definition) {
			d.Target.Window = &delivery.WindowTarget{Kind: window.Tumbling, Size: delivery.Duration(eventsPerWindow * time.Second), Time: "/data/at", Key: "/data/sensor",
				Stream: d.Name + "_minute-{key}", Type: "SensorMinute",
				Values: map[string]delivery.WindowValue{"events": {Op: window.Count}, "total": {Op: window.Sum, Path: "/data/value"}}}
		})},
		{namePerEvent, byHand(func(ctx context.Context, tx delivery.Tx, run string, events []delivery.Decoded[measured]) error {
			b := &pgx.Batch{}
			for _, e := range events {
				b.Queue(countOne, run, e.Value.Sensor, e.Value.At/eventsPerWindow, e.Value.Value)
			}
			return tx.SendBatch(ctx, b).Close()
		})},
		{namePerWindow, byHand(countedAtOnce)},
	}
}

// countedAtOnce adds the events of a batch up, and writes each window once: what one writes who has seen that a statement for each event is slow.
func countedAtOnce(ctx context.Context, tx delivery.Tx, run string, events []delivery.Decoded[measured]) error {
	type id struct {
		sensor string
		minute int64
	}
	index := make(map[id]int)
	var sensors []string
	var minutes, counts, totals []int64
	for _, e := range events {
		k := id{e.Value.Sensor, e.Value.At / eventsPerWindow}
		n, ok := index[k]
		if !ok {
			n = len(sensors)
			index[k] = n
			sensors, minutes, counts, totals = append(sensors, k.sensor), append(minutes, k.minute), append(counts, 0), append(totals, 0)
		}
		counts[n]++
		totals[n] += e.Value.Value
	}
	_, err := tx.Exec(ctx, countMany, run, sensors, minutes, counts, totals)
	return err
}
