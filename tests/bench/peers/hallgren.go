package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hallgren/eventsourcing/core"
	hallgrensql "github.com/hallgren/eventsourcing/eventstore/sql"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"

	"github.com/57528e99/recount/tests/bench"
)

func hallgren() bench.Peer {
	const module = "github.com/hallgren/eventsourcing/eventstore/sql"
	return bench.Peer{
		Name: "hallgren",
		About: module + " " + version(module) + ", with pgx behind database/sql. Its events are numbered by a sequence, and a reader asks for " +
			"`seq >= last + 1`; its documentation promises nothing about the order in which they become visible. The reader: " +
			"[`Tail`](../tests/bench/peers/hallgren.go).",
		Open: openHallgren,
	}
}

// hallgrenStore takes any driver of database/sql. Its documentation shows lib/pq, which takes a
// round trip more for each statement than pgx, which all others here use.
type hallgrenStore struct {
	db    *sql.DB
	store *hallgrensql.Postgres
}

func openHallgren(_ context.Context, dsn string, connections int) (bench.Store, error) {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections) // by default all but two are closed after use
	store, err := hallgrensql.NewPostgres(db)
	if err != nil {
		return nil, fmt.Errorf("make its tables: %w", err)
	}
	return hallgrenStore{db, store}, nil
}

const hallgrenAggregate = "bench"

func (h hallgrenStore) Append(_ context.Context, stream int64, n int) error {
	events := make([]core.Event, n)
	for i := range events {
		data, err := json.Marshal(bench.NewHappened())
		if err != nil {
			return err
		}
		events[i] = core.Event{
			AggregateID: fmt.Sprint(stream), AggregateType: hallgrenAggregate, Version: core.Version(i + 1),
			Timestamp: time.Now(), Reason: "Happened", Data: data,
		}
	}
	return h.store.Save(events)
}

func (h hallgrenStore) Load(ctx context.Context, stream int64) (int, error) {
	events, err := h.store.Get(ctx, fmt.Sprint(stream), hallgrenAggregate, 0)
	if err != nil {
		return 0, err
	}
	return hallgrenEach(events, func(int64) {})
}

func (h hallgrenStore) ReadAll(context.Context) (int, error) {
	events, err := h.store.All(0)()
	if err != nil {
		return 0, err
	}
	return hallgrenEach(events, func(int64) {})
}

// Tail is what the library's projections do with what All returns: they fetch until there is
// nothing more, and after a pause go on behind the last number that they have seen.
func (h hallgrenStore) Tail(ctx context.Context, deliver func(int64)) error {
	fetch := h.store.All(0)
	return bench.Poll(ctx, func() (int, error) {
		events, err := fetch()
		if err != nil {
			return 0, err
		}
		return hallgrenEach(events, deliver)
	})
}

func hallgrenEach(events core.Iterator, deliver func(int64)) (n int, _ error) {
	defer events.Close()
	for ; events.Next(); n++ {
		e, err := events.Value()
		if err != nil {
			return n, err
		}
		var data bench.Happened
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return n, err
		}
		var stream int64
		if _, err := fmt.Sscan(e.AggregateID, &stream); err != nil {
			return n, err
		}
		deliver(stream)
	}
	return n, nil
}

func (h hallgrenStore) Close(context.Context) error { return h.db.Close() }
