package main

import (
	"context"
	"encoding/binary"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/modernice/goes/backend/postgres"
	"github.com/modernice/goes/codec"
	"github.com/modernice/goes/event"
	"github.com/modernice/goes/event/query"
	"github.com/modernice/goes/helper/streams"
	"github.com/modernice/goes/projection"
	"github.com/modernice/goes/projection/schedule"

	"github.com/57528e99/recount/tests/bench"
)

func goes() bench.Peer {
	const module = "github.com/modernice/goes"
	return bench.Peer{
		Name: "goes",
		About: module + " " + version(module) + ", its backend/postgres. Its events have no number but a time, that of the client before they are " +
			"written, and a persisted projection asks for those from `time` of the last one on; its documentation promises nothing about the order " +
			"in which they become visible. An event bus beside the store is not measured. The reader: [`Tail`](../tests/bench/peers/goes.go).",
		Open: openGoes,
	}
}

const (
	goesEvent     = "bench.happened"
	goesAggregate = "bench"
)

type goesStore struct {
	pool  *pgxpool.Pool
	store *postgres.EventStore
}

func openGoes(ctx context.Context, dsn string, connections int) (bench.Store, error) {
	pool, err := openPool(ctx, dsn, connections, "")
	if err != nil {
		return nil, err
	}
	registry := codec.New()
	codec.Register[bench.Happened](registry, goesEvent)
	store := postgres.NewEventStore(registry, postgres.Pool(pool))
	if err := store.Connect(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return goesStore{pool, store}, nil
}

// goesID is the id of a stream: its number in the last eight bytes, and in front of it what is as
// random to an index as the ids that users have.
func goesID(stream int64) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], uint64(stream)*0x9E3779B97F4A7C15)
	binary.BigEndian.PutUint64(id[8:], uint64(stream))
	return id
}

func goesNumber(id uuid.UUID) int64 { return int64(binary.BigEndian.Uint64(id[8:])) }

func (g goesStore) Append(ctx context.Context, stream int64, n int) error {
	events := make([]event.Event, n)
	for i := range events {
		events[i] = event.New(goesEvent, bench.NewHappened(), event.Aggregate(goesID(stream), goesAggregate, i+1)).Any()
	}
	return g.store.Insert(ctx, events...)
}

func (g goesStore) Load(ctx context.Context, stream int64) (int, error) {
	return g.each(ctx, query.New(query.AggregateName(goesAggregate), query.AggregateID(goesID(stream)),
		query.SortBy(event.SortAggregateVersion, event.SortAsc)))
}

func (g goesStore) ReadAll(ctx context.Context) (int, error) {
	return g.each(ctx, query.New(query.SortByTime()))
}

func (g goesStore) each(ctx context.Context, q event.Query) (n int, _ error) {
	events, errs, err := g.store.Query(ctx, q)
	if err != nil {
		return 0, err
	}
	err = streams.Walk(ctx, func(event.Event) error { n++; return nil }, events, errs)
	return n, err
}

// goesReader is a projection that keeps its progress, as the documentation has it for those that
// are stored.
type goesReader struct {
	*projection.Base
	*projection.Progressor
}

// Tail is a projection with a schedule that looks for new events in the store.
func (g goesStore) Tail(ctx context.Context, deliver func(int64)) error {
	reader := goesReader{projection.New(), projection.NewProgressor()}
	event.ApplyWith(reader, func(e event.Of[bench.Happened]) {
		id, _, _ := e.Aggregate()
		deliver(goesNumber(id))
	}, goesEvent)
	errs, err := schedule.Periodically(g.store, bench.PollInterval, reader.RegisteredEvents()).
		Subscribe(ctx, func(job projection.Job) error { return job.Apply(job, reader) })
	if err != nil {
		return err
	}
	for e := range errs { // it is closed when the schedule has ended
		if ctx.Err() == nil && err == nil {
			err = e
		}
	}
	return err
}

func (g goesStore) Close(context.Context) error {
	g.pool.Close()
	return nil
}
