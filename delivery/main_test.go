package delivery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// bench is a log and its database for a test.
type bench struct {
	testing.TB
	db    *pgtest.DB
	store *pgstore.Store
	*records
}

func newBench(t testing.TB) *bench {
	t.Helper()
	db := logtest.New(t)
	b := &bench{TB: t, db: db, records: &records{pool: db.Pool, schema: db.Schema}}
	b.store = b.open()
	return b
}

// open returns a store as another process has it.
func (b *bench) open() *pgstore.Store {
	b.Helper()
	pool := b.db.NewPool(b, func(c *pgxpool.Config) { pgstore.ConfigurePool(c) })
	s, err := pgstore.Open(b.Context(), pgstore.Config{Pool: pool, Schema: b.db.Schema})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.WithoutCancel(b.Context())) })
	return s
}

// catches tells package trials which rule the test has seen broken, if it fails.
func (b *bench) catches(rule string) {
	began := time.Now()
	b.Cleanup(func() {
		if b.Failed() {
			fmt.Printf("caught\t%s\t%d\t%s\n", b.Name(), time.Since(began).Milliseconds(), rule)
		}
	})
}

func (b *bench) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.db.Pool.Exec(b.Context(), b.sql(sql), args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

// read scans the one row of a statement.
func read[T any](b *bench, sql string, args ...any) (v T) {
	b.Helper()
	if err := b.db.Pool.QueryRow(b.Context(), b.sql(sql), args...).Scan(&v); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
	return v
}

func (b *bench) head() eventstore.Token {
	b.Helper()
	head, err := b.store.Head(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return head
}

// append writes an event to a stream and returns its position.
func (b *bench) append(stream string) int64 {
	b.Helper()
	done, err := b.store.Append(b.Context(), eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any,
		Events: []eventstore.Event{{Type: "Happened", Data: []byte(`{}`)}}}, eventstore.AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return done.Position
}

func readFrom(position int64) eventstore.ReadOptions { return eventstore.ReadOptions{From: position} }
