package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery"
)

// Pull measures how fast callers who compete get the events of a subscription and acknowledge them.
type Pull struct {
	// Callers is how many there are.
	Callers int
	// Batches are how many events each asks for at once.
	Batches []int
	// Events is how many there are for each batch, in a round.
	Events int
	// Duration is how long each contender takes at least, all rounds together: a round that was begun is finished.
	Duration time.Duration
}

const (
	namePulled   = "pulled"
	nameNacked   = "pulled, one of ten given back"
	nameJobTable = "job table"

	// nackShare: one of so many events is given back the first time.
	nackShare = 10
	// pullWait is short: at the end all but one wait for nothing.
	pullWait = 20 * time.Millisecond
	// pulledStreams are more than callers have events at once.
	pulledStreams = 10_000
)

// Name implements Benchmark.
func (p Pull) Name() string { return "pull" }

// notes say what is measured.
func (p Pull) notes() []string {
	return []string{
		"Pulled: in order of streams, from a log that is there; each event is looked for in the log, handed out, and acknowledged.",
		"Job table: rows that are there, in no order of anything, taken with FOR UPDATE SKIP LOCKED and deleted when they are done.",
	}
}

// Check implements Benchmark.
func (p Pull) Check() error {
	for _, n := range p.Batches {
		if n < 1 || n > delivery.MaxPull {
			return invalid("a caller must ask for 1 to %d events at once, got %d", delivery.MaxPull, n)
		}
	}
	if len(p.Batches) == 0 {
		return invalid("say how many events a caller asks for at once")
	}
	return errors.Join(checkCallers([]int{p.Callers}), checkDuration(p.Duration), checkEvents(p.Events))
}

func (p Pull) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	all := make(map[string]float64)
	err = env.with(ctx, p.Callers, func(s *scratch) error {
		codec, err := newPostCodec()
		if err != nil {
			return err
		}
		env.say("appending %d events", p.Events)
		err = s.fillAppends(ctx, codec, p.Events, func(n int) []streamEvent {
			_, value := post(n, 1)
			return []streamEvent{{fmt.Sprintf("post-%d", n%pulledStreams), value}}
		})
		if err != nil {
			return err
		}
		if _, err := s.pool.Exec(ctx, `VACUUM ANALYZE events`); err != nil {
			return err
		}
		for _, batch := range p.Batches {
			found, err := p.compete(ctx, env, s, batch)
			if err != nil {
				return err
			}
			found, compared := asked(fmt.Sprintf("batch of %d", batch), found, ratios(found, "", namePulled, rate))
			results = append(results, found...)
			maps.Copy(all, compared)
		}
		return nil
	})
	return results, all, err
}

// contest makes what there is to do, and returns who does it until there is nothing left, and what is done after that.
type contest func(ctx context.Context, s *scratch, batch int) (call func(ctx context.Context, caller int) (events int, err error), end func(context.Context) error, err error)

// compete measures the contenders in turns. What there is to do is made before the time of a round begins.
func (p Pull) compete(ctx context.Context, env *Env, s *scratch, batch int) ([]Result, error) {
	names := []string{namePulled, nameNacked, nameJobTable}
	tallies := make([]tally, len(names))
	for round := range deliverRounds {
		env.say("batches of %d, round %d of %d", batch, round+1, deliverRounds)
		for i, begin := range []contest{p.pulled(0), p.pulled(nackShare), p.jobs} {
			for due := p.Duration / deliverRounds * time.Duration(round+1); tallies[i].elapsed < due; {
				call, end, err := begin(ctx, s, batch)
				if err != nil {
					return nil, err
				}
				err = tallies[i].round(ctx, contender{names[i], call}, p.Callers, 0)
				if err = errors.Join(err, end(context.WithoutCancel(ctx))); err != nil {
					return nil, err
				}
			}
		}
	}
	results := make([]Result, len(names))
	for i := range names {
		results[i] = tallies[i].result(names[i], p.Callers)
	}
	return results, nil
}

// pulled makes a subscription. One event of share is given back the first time; 0: none is.
func (p Pull) pulled(share int64) contest {
	return func(ctx context.Context, s *scratch, batch int) (func(context.Context, int) (int, error), func(context.Context) error, error) {
		name := "jobs-" + strings.ToLower(rand.Text()[:8])
		_, err := delivery.NewAdmin(s.pool, s.schema, s.store, "bench").Put(ctx, delivery.Definition{
			Name: name, Start: delivery.Start{At: delivery.AtBeginning}, Target: delivery.TargetConfig{Pull: &delivery.PullTarget{}},
		}, delivery.PutOptions{})
		if err != nil {
			return nil, nil, err
		}
		broker, err := delivery.NewBroker(delivery.BrokerConfig{Pool: s.pool, Schema: s.schema, App: "bench", Store: s.store})
		if err != nil {
			return nil, nil, err
		}
		left := newCountdown(p.Events)
		return func(ctx context.Context, _ int) (done int, err error) {
			for !left.ended() {
				some, err := broker.Pull(ctx, name, delivery.PullOptions{Max: batch, Wait: pullWait})
				if err != nil {
					return done, err
				}
				acks, nacks := tokens(some, share)
				if len(nacks) > 0 {
					if _, err := broker.Nack(ctx, name, delivery.NackOptions{Delay: new(time.Duration)}, nacks...); err != nil {
						return done, err
					}
				}
				if len(acks) > 0 {
					if _, err := broker.Ack(ctx, name, acks...); err != nil {
						return done, err
					}
					done += len(acks)
					left.count(len(acks))
				}
			}
			return done, nil
		}, broker.Stop, broker.Start(context.WithoutCancel(ctx))
	}
}

// tokens returns those to acknowledge and those to give back.
func tokens(some []delivery.Pulled, share int64) (acks, nacks []string) {
	for _, e := range some {
		if share > 0 && e.Event.Attempt == 1 && e.Event.Position%share == 0 {
			nacks = append(nacks, e.Token)
		} else {
			acks = append(acks, e.Token)
		}
	}
	return acks, nacks
}

const (
	createJobs = `DROP TABLE IF EXISTS jobs; CREATE TABLE jobs (id bigint PRIMARY KEY, data bytea NOT NULL, taken_until timestamptz)`
	insertJobs = `INSERT INTO jobs SELECT i, $2 FROM generate_series(1, $1::bigint) AS i`
	indexJobs  = `CREATE INDEX ON jobs (id) WHERE taken_until IS NULL; VACUUM ANALYZE jobs`
	takeJobs   = `
UPDATE jobs SET taken_until = now() + interval '30 seconds'
WHERE id IN (SELECT id FROM jobs WHERE taken_until IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, data`
	endJobs = `DELETE FROM jobs WHERE id = ANY ($1)`
)

// jobs makes a table of jobs.
func (p Pull) jobs(ctx context.Context, s *scratch, batch int) (func(context.Context, int) (int, error), func(context.Context) error, error) {
	for _, statement := range strings.Split(createJobs+";"+indexJobs, ";") {
		if _, err := s.pool.Exec(ctx, statement); err != nil {
			return nil, nil, err
		}
	}
	if _, err := s.pool.Exec(ctx, insertJobs, p.Events, payload); err != nil {
		return nil, nil, err
	}
	return func(ctx context.Context, _ int) (done int, err error) {
		for {
			rows, err := s.pool.Query(ctx, takeJobs, batch)
			if err != nil {
				return done, err
			}
			var id int64
			var data []byte
			var ids []int64
			if _, err = pgx.ForEachRow(rows, []any{&id, &data}, func() error { ids = append(ids, id); return nil }); err != nil || len(ids) == 0 {
				return done, err
			}
			if _, err := s.pool.Exec(ctx, endJobs, ids); err != nil {
				return done, err
			}
			done += len(ids)
		}
	}, func(context.Context) error { return nil }, nil
}
