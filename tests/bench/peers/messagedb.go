package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/tests/bench"
)

func messageDB() bench.Peer {
	return bench.Peer{
		Name: "message-db",
		About: "Message DB " + messageDBVersion + ", its functions called with pgx. Writers of one category wait for each other, and a reader asks for " +
			"`get_category_messages(category, last + 1)`, so it misses nothing of a category; categories have no order among them. All streams " +
			"are of one category here. The reader: [`Tail`](../tests/bench/peers/messagedb.go).",
		Open: func(ctx context.Context, dsn string, connections int) (bench.Store, error) {
			return openMessageDB(ctx, dsn, connections, 1)
		},
	}
}

// messageDBCategories shows what the same can do for those who need no order of all events.
func messageDBCategories() bench.Peer {
	return bench.Peer{
		Name:        "message-db-16",
		About:       "Message DB as above, with streams of 16 categories. No reader can follow all of them in one order, so it only appends.",
		AppendsOnly: true,
		Open: func(ctx context.Context, dsn string, connections int) (bench.Store, error) {
			return openMessageDB(ctx, dsn, connections, 16)
		},
	}
}

type messageDBStore struct {
	pool       *pgxpool.Pool
	categories int64
}

func openMessageDB(ctx context.Context, dsn string, connections int, categories int64) (bench.Store, error) {
	files, err := fetchMessageDB(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := openPool(ctx, dsn, connections, "message_store, public")
	if err != nil {
		return nil, err
	}
	for _, name := range messageDBFiles {
		if _, err := pool.Exec(ctx, files[name], pgx.QueryExecModeSimpleProtocol); err != nil {
			pool.Close()
			return nil, fmt.Errorf("install %s: %w", name, err)
		}
	}
	return messageDBStore{pool, categories}, nil
}

func openPool(ctx context.Context, dsn string, connections int, searchPath string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = int32(connections)
	if searchPath != "" {
		config.ConnConfig.RuntimeParams["search_path"] = searchPath
	}
	return pgxpool.NewWithConfig(ctx, config)
}

func (m messageDBStore) category(n int64) string { return fmt.Sprintf("bench%d", n%m.categories) }

func (m messageDBStore) stream(n int64) string { return bench.StreamName(m.category(n), n) }

// Append calls write_message for each event, all in one round trip and one transaction.
func (m messageDBStore) Append(ctx context.Context, stream int64, n int) error {
	batch := &pgx.Batch{}
	for i := range n {
		data, err := json.Marshal(bench.NewHappened())
		if err != nil {
			return err
		}
		// The version before the first event is -1.
		batch.Queue(`SELECT write_message($1, $2, $3, $4, NULL, $5)`, uuid.NewString(), m.stream(stream), "Happened", data, i-1)
	}
	if n == 1 {
		_, err := m.pool.Exec(ctx, batch.QueuedQueries[0].SQL, batch.QueuedQueries[0].Arguments...)
		return err
	}
	return m.pool.SendBatch(ctx, batch).Close()
}

func (m messageDBStore) Load(ctx context.Context, stream int64) (int, error) {
	_, n, err := m.read(ctx, `SELECT stream_name, global_position, data FROM get_stream_messages($1)`, func(int64) {}, m.stream(stream))
	return n, err
}

var errCategories = errors.New("it reads one category at a time")

func (m messageDBStore) ReadAll(ctx context.Context) (all int, _ error) {
	if m.categories > 1 {
		return 0, errCategories
	}
	for last := int64(0); ; {
		position, n, err := m.behind(ctx, last, func(int64) {})
		if err != nil || n == 0 {
			return all, err
		}
		all += n
		last = position
	}
}

// Tail asks for the messages of the category behind the last one that it has seen, as consumers do.
func (m messageDBStore) Tail(ctx context.Context, deliver func(int64)) error {
	if m.categories > 1 {
		return errCategories
	}
	last := int64(0)
	return bench.Poll(ctx, func() (int, error) {
		position, n, err := m.behind(ctx, last, deliver)
		if n > 0 {
			last = position
		}
		return n, err
	})
}

// behind reads the next messages, at most 1000, which is the default.
func (m messageDBStore) behind(ctx context.Context, position int64, deliver func(int64)) (last int64, n int, _ error) {
	return m.read(ctx, `SELECT stream_name, global_position, data FROM get_category_messages($1, $2)`, deliver, m.category(0), position+1)
}

func (m messageDBStore) read(ctx context.Context, sql string, deliver func(int64), args ...any) (last int64, n int, _ error) {
	rows, err := m.pool.Query(ctx, sql, args...)
	if err != nil {
		return 0, 0, err
	}
	var name string
	var data []byte
	_, err = pgx.ForEachRow(rows, []any{&name, &last, &data}, func() error {
		var h bench.Happened
		if err := json.Unmarshal(data, &h); err != nil {
			return err
		}
		stream, err := bench.StreamNumber(name)
		if err != nil {
			return err
		}
		deliver(stream)
		n++
		return nil
	})
	return last, n, err
}

func (m messageDBStore) Close(context.Context) error {
	m.pool.Close()
	return nil
}
