package pgstore_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgtest"
)

var payload = make([]byte, 200)

// BenchmarkAppend appends one event per call, each to a stream of its own.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("recount/callers=%d", callers), func(b *testing.B) {
			s := open(b, pgtest.New(b))
			inParallel(b, callers, func(n int64) error {
				_, err := s.Append(b.Context(), eventstore.StreamAppend{
					Stream: fmt.Sprintf("bench-%d", n), Expected: eventstore.NoStream,
					Events: []eventstore.Event{{Type: "Happened", Data: payload}},
				}, eventstore.AppendOptions{})
				return err
			})
		})
		b.Run(fmt.Sprintf("insert/callers=%d", callers), func(b *testing.B) {
			pool := insertTable(b)
			inParallel(b, callers, func(n int64) error {
				_, err := pool.Exec(b.Context(), `INSERT INTO bare VALUES (nextval('bare_position'), $1, 0, $2, $3)`,
					fmt.Sprintf("bench-%d", n), uuid.New(), payload)
				return err
			})
		})
	}
}

// insertTable makes what an append without any promise would write to.
func insertTable(b *testing.B) *pgxpool.Pool {
	db := pgtest.New(b)
	cfg := db.Pool.Config()
	cfg.MaxConns = 64
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), `CREATE SEQUENCE bare_position; CREATE TABLE bare (
		position bigint PRIMARY KEY, stream text, version bigint, id uuid, data bytea, UNIQUE (stream, version))`,
		pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		b.Fatal(err)
	}
	return pool
}

func inParallel(b *testing.B, callers int, f func(n int64) error) {
	var n atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for range callers {
		group.Go(func() {
			for {
				i := n.Add(1)
				if i > int64(b.N) {
					return
				}
				if err := f(i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
