package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aneshas/eventstore"
	"gorm.io/gorm/logger"

	"github.com/57528e99/recount/tests/bench"
)

func aneshas() bench.Peer {
	const module = "github.com/aneshas/eventstore"
	return bench.Peer{
		Name: "aneshas",
		About: module + " " + version(module) + ", with its JSON encoder. Its events are numbered by a sequence, and a subscription asks for " +
			"`sequence > n`, n being how many events it has read, so it may also get some twice; its documentation promises nothing about the order " +
			"in which they become visible. The reader: [`Tail`](../tests/bench/peers/aneshas.go).",
		Open: openAneshas,
	}
}

type aneshasStore struct{ *eventstore.EventStore }

func openAneshas(_ context.Context, dsn string, connections int) (bench.Store, error) {
	logger.Default = logger.Discard // it writes slow statements to stdout
	store, err := eventstore.New(eventstore.NewJSONEncoder(bench.Happened{}), eventstore.WithPostgresDB(dsn))
	if err != nil {
		return nil, err
	}
	db, err := store.DB.DB()
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(connections)
	db.SetMaxIdleConns(connections) // by default all but two are closed after use
	return aneshasStore{store}, nil
}

func (a aneshasStore) Append(ctx context.Context, stream int64, n int) error {
	events := make([]eventstore.EventToStore, n)
	for i := range events {
		events[i].Event = bench.NewHappened()
	}
	return a.AppendStream(ctx, bench.StreamName("bench", stream), eventstore.InitialStreamVersion, events)
}

func (a aneshasStore) Load(ctx context.Context, stream int64) (int, error) {
	events, err := a.ReadStream(ctx, bench.StreamName("bench", stream))
	return len(events), err
}

// The default is 100 events every 100 ms, which no measurement here would get far with.
const aneshasBatch = 5000

// ReadAll is the library's ReadAll, but for the end: that one may stop with events still on their
// way.
func (a aneshasStore) ReadAll(ctx context.Context) (n int, _ error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errEnd := errors.New("end")
	err := a.subscribe(ctx, func(eventstore.StoredEvent) error { n++; return nil }, func() error { return errEnd })
	if errors.Is(err, errEnd) {
		err = nil
	}
	return n, err
}

// Tail is what the library's Projector does.
func (a aneshasStore) Tail(ctx context.Context, deliver func(int64)) error {
	err := a.subscribe(ctx, func(e eventstore.StoredEvent) error {
		stream, err := bench.StreamNumber(e.StreamID)
		if err == nil {
			deliver(stream)
		}
		return err
	}, func() error { return nil })
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// subscribe calls each with every event, and atEnd whenever there are no more for now.
func (a aneshasStore) subscribe(ctx context.Context, each func(eventstore.StoredEvent) error, atEnd func() error) error {
	sub, err := a.SubscribeAll(ctx, eventstore.WithBatchSize(aneshasBatch), eventstore.WithPollInterval(bench.PollInterval))
	if err != nil {
		return err
	}
	defer sub.Close()
	for {
		select {
		case e := <-sub.EventData:
			if err := each(e); err != nil {
				return err
			}
		case err := <-sub.Err:
			if !errors.Is(err, io.EOF) {
				return fmt.Errorf("its subscription ended: %w", err)
			}
			for len(sub.EventData) > 0 {
				if err := each(<-sub.EventData); err != nil {
					return err
				}
			}
			if err := atEnd(); err != nil {
				return err
			}
		}
	}
}

func (a aneshasStore) Close(context.Context) error { return a.EventStore.Close() }
