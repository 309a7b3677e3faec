package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
)

// baseline is a table of the log's shape, with its indexes and constraints, and a plain way to
// write it. Baselines do less than the log: nobody looks up a stream, a type or a category by its
// name, and the check of versions is what the unique key of (stream, version) makes of it. On a hot
// stream they take an event's position for its version, so that they need not read one.
type baseline struct {
	table   string
	scratch *scratch
	streams *streams
	batch   int
	last    atomic.Int64 // position that was handed out last, where the client does that
}

var baselineColumns = []string{"position", "stream_id", "version", "recorded_at", "id", "type_id", "category_id",
	"append_rest", "flags", "data", "metadata"}

// newBaseline makes the table. Its position is a sequence's or a counter's, as each has it.
func newBaseline(ctx context.Context, s *scratch, a Append, callers int, name string) (*baseline, error) {
	b := &baseline{table: "base_" + name, scratch: s, streams: newStreams(a.Streams, callers), batch: a.Batch}
	if a.Streams == StreamsExisting {
		b.last.Store(existingStreams)
	}
	last := b.last.Load()
	for _, sql := range []string{
		fmt.Sprintf(`CREATE TABLE %s (LIKE events INCLUDING ALL)`, b.quoted()),
		// As the log's, or its vacuum would be the only one to run.
		fmt.Sprintf(`ALTER TABLE %s SET (autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000,
			autovacuum_analyze_scale_factor = 0.1, autovacuum_freeze_min_age = 0)`, b.quoted()),
		fmt.Sprintf(`CREATE TABLE %s AS SELECT %d::bigint AS position`, b.counter(), last),
		fmt.Sprintf(`CREATE SEQUENCE %s START %d`, b.sequence(), last+1),
		fmt.Sprintf(`INSERT INTO %s SELECT n, n, 0, clock_timestamp(), gen_random_uuid(), 1, 1, 0, 0::smallint,
			convert_to('%s', 'UTF8'), '' FROM generate_series(1, %d) AS n`, b.quoted(), payload, last),
	} {
		if _, err := s.pool.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
			return nil, fmt.Errorf("make the table of %s: %w", name, err)
		}
	}
	return b, nil
}

func (b *baseline) quoted() string   { return pgsql.Name(b.table) }
func (b *baseline) counter() string  { return pgsql.Name(b.table + "_counter") }
func (b *baseline) sequence() string { return pgsql.Name(b.table + "_position") }

// insertRow inserts one event at the position p that a subquery returns.
func (b *baseline) insertRow(positions string) string {
	return `INSERT INTO ` + b.quoted() + ` (position, stream_id, version, recorded_at, id, type_id, category_id, append_rest, flags, data, metadata)
SELECT p, $1::bigint, coalesce($2::bigint, p), clock_timestamp(), $3::uuid, 1, 1, 0, 0::smallint, $4::bytea, ''
FROM (` + positions + `) AS source(p)`
}

// calls returns how to append as a caller, the way that name is of.
func (b *baseline) calls(name string) func(context.Context, int) (int, error) {
	if name == nameCopy {
		return b.copy
	}
	write := map[string]func(context.Context, place, int) error{
		nameCounterRow: b.counterRow, nameUnordered: b.unordered, nameInsert: b.insert,
	}[name]
	return func(ctx context.Context, caller int) (int, error) {
		stream, version := b.streams.next(caller, b.batch)
		return b.batch, write(ctx, place{stream, version}, b.batch)
	}
}

// place is where an append goes: version is that of its first event, as streams.next has it.
type place struct{ stream, version int64 }

// counterRow is the usual way to an order without gaps: a row that every append counts up, and so
// holds until its commit. A single event takes a single statement.
func (b *baseline) counterRow(ctx context.Context, at place, events int) error {
	if events == 1 {
		return b.write(ctx, at, events, `WITH c AS (UPDATE `+b.counter()+` SET position = position + 1 RETURNING position) `+
			b.insertRow(`SELECT position FROM c`), nil)
	}
	back := func(i int) int64 { return int64(events - 1 - i) }
	return b.write(ctx, at, events, b.insertRow(`SELECT position - $5::bigint FROM `+b.counter()), back,
		fmt.Sprintf(`UPDATE %s SET position = position + %d`, b.counter(), events))
}

// unordered takes positions from a sequence. They may become visible in another order: readers that
// follow them miss events.
func (b *baseline) unordered(ctx context.Context, at place, events int) error {
	return b.write(ctx, at, events, b.insertRow(`SELECT nextval('`+b.sequence()+`')`), nil)
}

// insert is a bare INSERT and commit of rows that the client has thought out.
func (b *baseline) insert(ctx context.Context, at place, events int) error {
	first := b.last.Add(int64(events)) - int64(events) + 1
	return b.write(ctx, at, events, b.insertRow(`VALUES ($5::bigint)`), func(i int) int64 { return first + int64(i) })
}

// write sends a statement for each event, behind those in before, in one round trip and one
// transaction. Position is parameter 5 of an event's statement, if that has one.
func (b *baseline) write(ctx context.Context, at place, events int, sql string, position func(i int) int64, before ...string) error {
	batch := &pgx.Batch{}
	for _, statement := range before {
		batch.Queue(statement)
	}
	for i := range events {
		args := []any{at.stream, versionOf(at.version, i), newID(), payload}
		if position != nil {
			args = append(args, position(i))
		}
		batch.Queue(sql, args...)
	}
	if batch.Len() == 1 {
		_, err := b.scratch.pool.Exec(ctx, sql, batch.QueuedQueries[0].Arguments...)
		return err
	}
	return b.scratch.pool.SendBatch(ctx, batch).Close()
}

// versionOf returns the version of an event of an append, nil if it is the position.
func versionOf(first int64, i int) *int64 {
	if first < 0 {
		return nil
	}
	v := first + int64(i)
	return &v
}

// copy uses COPY, the fastest way into a table that there is.
func (b *baseline) copy(ctx context.Context, caller int) (int, error) {
	stream, version := b.streams.next(caller, b.batch)
	first := b.last.Add(int64(b.batch)) - int64(b.batch) + 1
	now := time.Now()
	rows := pgx.CopyFromSlice(b.batch, func(i int) ([]any, error) {
		position := first + int64(i)
		at := versionOf(version, i)
		if at == nil {
			at = &position
		}
		return []any{position, stream, *at, now, newID(), 1, 1, 0, 0, payload, []byte{}}, nil
	})
	n, err := b.scratch.pool.CopyFrom(ctx, pgx.Identifier{b.table}, baselineColumns, rows)
	return int(n), err
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }
