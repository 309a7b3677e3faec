package queries_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type (
	placed struct {
		Customer *string
		Status   string
		At       time.Time
		Total    int64
	}
	cancelled struct{}
	unrelated struct{}
)

type order struct {
	CustomerID *string
	Status     string
	PlacedAt   time.Time
	Total      int64
	Tags       []string
}

func newOrders(version int) *projections.Fold[string, order] {
	f := projections.NewFold[string, order](projections.Table{Name: "orders", Version: version, Indexes: []projections.Index{
		{Columns: []string{"placed_at"}},
		{Columns: []string{"customer_id", "placed_at"}},
		{Columns: []string{"status", "customer_id", "total"}},
		{Columns: []string{"customer_id"}},
	}})
	projections.Upsert(f, projections.ByID, func(o *order, e placed, _ projections.Recorded) error {
		if e.Status == "refuse" {
			return fmt.Errorf("no such status")
		}
		*o = order{CustomerID: e.Customer, Status: e.Status, PlacedAt: e.At, Total: e.Total, Tags: []string{"t"}}
		return nil
	})
	projections.Delete(f, projections.ByID[cancelled])
	return f
}

// bench is a log, a runner and a reader for a test.
type bench struct {
	testing.TB
	db     *pgtest.DB
	store  *memstore.Store
	codec  *eventstore.Codec
	orders *projections.Fold[string, order]
	admin  *projections.Admin
	reader *queries.Reader
}

func newBench(t testing.TB) *bench {
	t.Helper()
	codec, err := eventstore.NewCodec(eventstore.TypeOf[placed]("Placed", 1), eventstore.TypeOf[cancelled]("Cancelled", 1),
		eventstore.TypeOf[unrelated]("Unrelated", 1))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, db: pgtest.New(t), store: memstore.New(memstore.Config{}), codec: codec, orders: newOrders(1)}
	b.admin = projections.NewAdmin(b.db.Pool, b.db.Schema, b.store)
	b.reader = b.newReader(queries.Config{Projections: []projections.Projection{b.orders}})
	types := eventstore.Filter{Types: []string{"Placed", "Cancelled"}}
	logtest.Projections(t, b.db, b.store, map[pglog.Projection]eventstore.Filter{{Name: "orders", Version: 1}: types, {Name: "orders", Version: 2}: types})
	return b
}

func (b *bench) newReader(c queries.Config) *queries.Reader {
	b.Helper()
	c.Pool, c.Schema = b.db.Pool, b.db.Schema
	r, err := queries.NewReader(c)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func (b *bench) start(all ...projections.Projection) *projections.Runner {
	b.Helper()
	if len(all) == 0 {
		all = append(all, b.orders)
	}
	r, err := projections.NewRunner(projections.Config{Pool: b.db.Pool, Schema: b.db.Schema, Store: b.store, Codec: b.codec,
		LeaseTTL: 300 * time.Millisecond, PollInterval: 10 * time.Millisecond}, all...)
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { b.stop(r) })
	return r
}

func (b *bench) stop(r *projections.Runner) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		b.Errorf("Stop: %v", err)
	}
}

func (b *bench) append(stream string, values ...any) eventstore.Token {
	b.Helper()
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any}
	for _, v := range values {
		e, err := b.codec.Encode(v)
		if err != nil {
			b.Fatal(err)
		}
		a.Events = append(a.Events, e)
	}
	done, err := b.store.Append(b.Context(), a, eventstore.AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return done.Token
}

// patiently is a context whose reads wait as long as they must.
func (b *bench) patiently() context.Context {
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	b.Cleanup(cancel)
	return ctx
}

func ptr[T any](v T) *T { return &v }

func day(n int) time.Time { return time.Date(2024, 1, n, 0, 0, 0, 0, time.UTC) }
