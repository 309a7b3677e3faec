package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/internal/verdict"
)

// head is the end of the log. The zero head is that of an empty log.
type head struct {
	position int64
	id       uuid.UUID
}

// stream is what the appender knows of a stream. The zero id means that the
// stream was never written.
type stream struct {
	id int64
	verdict.Stream
}

var noStream = stream{Stream: verdict.Stream{Version: -1}}

const (
	flagSuppliedID int16 = 1
	flagDeleted    int16 = 2
	flagTombstone  int16 = 4
	flagMarks            = flagDeleted | flagTombstone
)

// facts are what a batch is judged by.
type facts struct {
	head     head
	streams  map[string]stream
	known    idIndex
	receipts map[receiptKey]eventstore.StoredReceipt
}

// idIndex finds events by the ids that callers supplied.
type idIndex map[eventKey]eventstore.RecordedEvent

type eventKey struct {
	stream string
	id     uuid.UUID
}

func (x idIndex) add(events ...eventstore.RecordedEvent) {
	for _, e := range events {
		if e.ID != uuid.Nil {
			x[eventKey{e.Stream, e.ID}] = e
		}
	}
}

func (x idIndex) find(stream string, ids []uuid.UUID) []eventstore.RecordedEvent {
	var found []eventstore.RecordedEvent
	for _, id := range ids {
		if e, ok := x[eventKey{stream, id}]; ok {
			found = append(found, e)
		}
	}
	return found
}

type receiptKey struct{ scope, key string }

func keyOf(r *eventstore.Receipt) receiptKey { return receiptKey{r.Scope, r.Key} }

func newFacts() *facts {
	return &facts{
		streams:  make(map[string]stream),
		known:    make(idIndex),
		receipts: make(map[receiptKey]eventstore.StoredReceipt),
	}
}

const selectHead = `
SELECT position, id FROM {schema}.events ORDER BY position DESC LIMIT 1`

// The LATERALs with their LIMITs, here and below, leave the planner nothing but
// an index. Joins were planned as scans of whole tables while those were small,
// and the plans stayed until the first ANALYZE: every command read all receipts,
// and every append to a stream that was not remembered all streams. Subselects
// around the parameters keep it from estimates by the length of arrays, for which
// it made a new plan each time.

// A stream that exists has at least one event.
const selectStreams = `
SELECT u.name, s.id, last.version, last.flags,
       coalesce((SELECT m.version + 1 FROM {schema}.events m
                 WHERE m.stream_id = s.id AND m.flags & 6 <> 0
                 ORDER BY m.version DESC LIMIT 1), 0)
FROM unnest((SELECT $1::text[])) AS u(name)
CROSS JOIN LATERAL (SELECT s.id FROM {schema}.streams s WHERE s.name = u.name LIMIT 1) AS s
CROSS JOIN LATERAL (
    SELECT e.version, e.flags FROM {schema}.events e
    WHERE e.stream_id = s.id ORDER BY e.version DESC LIMIT 1) AS last`

const selectReceipts = `
SELECT r.scope, r.key, r.fingerprint, r.answer, r.result, r.stored_at
FROM unnest((SELECT $1::text[]), (SELECT $2::text[])) AS u(scope, key)
CROSS JOIN LATERAL (
    SELECT r.scope, r.key, r.fingerprint, r.answer, r.result, r.stored_at FROM {schema}.receipts r
    WHERE r.scope = u.scope AND r.key = u.key LIMIT 1) AS r`

const selectKnown = `
SELECT u.name, e.position, e.version, e.id, t.name, t.schema_version, e.data
FROM unnest((SELECT $1::text[]), (SELECT $2::bigint[]), (SELECT $3::uuid[])) AS u(name, stream_id, id)
CROSS JOIN LATERAL (
    SELECT e.position, e.version, e.id, e.type_id, e.data FROM {schema}.events e
    WHERE e.stream_id = u.stream_id AND e.id = u.id AND e.flags & 1 <> 0 LIMIT 1) AS e
JOIN {schema}.event_types t ON t.id = e.type_id
ORDER BY e.position`

func (s *Store) queueHead(b *pgx.Batch, f *facts) {
	b.Queue(s.sql(selectHead)).QueryRow(func(row pgx.Row) error {
		err := row.Scan(&f.head.position, &f.head.id)
		if errors.Is(err, pgx.ErrNoRows) {
			f.head = head{}
			return nil
		}
		return err
	})
}

// queueStreams looks up streams by name. Names that are not found stay out of
// f.streams.
func (s *Store) queueStreams(b *pgx.Batch, f *facts, names []string) {
	if len(names) == 0 {
		return
	}
	b.Queue(s.sql(selectStreams), names).Query(func(rows pgx.Rows) error {
		var name string
		var st stream
		var flags int16
		_, err := pgx.ForEachRow(rows, []any{&name, &st.id, &st.Version, &flags, &st.FirstVersion}, func() error {
			st.Deleted, st.Tombstoned = flags&flagMarks != 0, flags&flagTombstone != 0
			f.streams[name] = st
			return nil
		})
		return err
	})
}

// A receipt that counts no more makes room for its successor. It is deleted under the lock: nobody else looks at it meanwhile.
const deleteExpired = `
DELETE FROM {schema}.receipts WHERE ctid = ANY (ARRAY(
    SELECT r.ctid FROM unnest((SELECT $1::text[]), (SELECT $2::text[]), (SELECT $3::bigint[])) AS u(scope, key, microseconds)
    CROSS JOIN LATERAL (
        SELECT r.ctid, r.stored_at FROM {schema}.receipts r WHERE r.scope = u.scope AND r.key = u.key LIMIT 1) AS r
    WHERE r.stored_at <= clock_timestamp() - u.microseconds * interval '1 microsecond'))`

func (s *Store) queueExpired(b *pgx.Batch, requests []*request) {
	var scopes, keys []string
	var windows []int64
	for _, r := range requests {
		if r.receipt != nil && r.receipt.Window > 0 {
			scopes, keys, windows = append(scopes, r.receipt.Scope), append(keys, r.receipt.Key), append(windows, r.receipt.Window.Microseconds())
		}
	}
	if len(keys) > 0 {
		b.Queue(s.sql(deleteExpired), scopes, keys, windows)
	}
}

func (s *Store) queueReceipts(b *pgx.Batch, f *facts, requests []*request) {
	var scopes, keys []string
	for _, r := range requests {
		if r.receipt != nil {
			scopes, keys = append(scopes, r.receipt.Scope), append(keys, r.receipt.Key)
		}
	}
	if len(keys) == 0 {
		return
	}
	b.Queue(s.sql(selectReceipts), scopes, keys).Query(func(rows pgx.Rows) error {
		var r eventstore.StoredReceipt
		var result []byte
		_, err := pgx.ForEachRow(rows, []any{&r.Scope, &r.Key, &r.Fingerprint, &r.Answer, &result, &r.StoredAt}, func() error {
			stored := r
			var err error
			stored.Appended, err = s.parseResult(result)
			f.receipts[keyOf(&stored.Receipt)] = stored
			return err
		})
		return err
	})
}

// loadKnown looks up the supplied ids that some verdict depends on.
func (s *Store) loadKnown(ctx context.Context, q querier, f *facts, requests []*request) error {
	var streams []string
	var streamIDs []int64
	var ids []pgtype.UUID
	for _, r := range requests {
		for _, a := range r.appends {
			st, ok := f.streams[a.Stream]
			if !ok || !verdict.NeedsKnown(st.Stream, a) {
				continue
			}
			for _, e := range a.Events {
				streams, streamIDs, ids = append(streams, a.Stream), append(streamIDs, st.id), append(ids, pgUUID(e.ID))
			}
		}
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := q.Query(ctx, s.sql(selectKnown), streams, streamIDs, ids)
	if err != nil {
		return fmt.Errorf("look up event ids: %w", err)
	}
	var r eventstore.RecordedEvent
	_, err = pgx.ForEachRow(rows, []any{&r.Stream, &r.Position, &r.Version, &r.ID, &r.Type, &r.SchemaVersion, &r.Data}, func() error {
		f.known.add(r)
		r.Data = nil
		return nil
	})
	if err != nil {
		return fmt.Errorf("look up event ids: %w", err)
	}
	return nil
}

// querier is what a pool, a connection and a transaction have in common.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}
