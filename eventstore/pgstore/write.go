package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgerr"
)

// The timeouts are local to the transaction, so that they hold behind a
// transaction pooler too. The second frees the log from an appender that was
// frozen between two round trips of the slow path. One whose machine is gone in
// the middle of sending holds the lock until the server's TCP gives it up.
// A row is locked when it has passed the conditions, so the settings are made before.
//
// Whoever was told of an append may act on it, so no commit of one is left to the
// disk's leisure, whatever a role has: off becomes on. The other values differ in
// which servers a commit waits for, and that is the operator's choice.
const lockLog = `
SELECT only_row FROM {schema}.log_lock
WHERE set_config('lock_timeout', $1, true) IS NOT NULL
  AND set_config('idle_in_transaction_session_timeout', $1, true) IS NOT NULL
  AND (current_setting('synchronous_commit') <> 'off' OR set_config('synchronous_commit', 'on', true) IS NOT NULL)
FOR UPDATE OF log_lock`

// Everything depends on guard, which has a row only if the log still ends where
// the plan begins. So a plan that is late, even one whose connection was given
// up long ago, writes nothing.
const guarded = `
WITH guard AS MATERIALIZED (
    SELECT greatest(clock_timestamp(), head.recorded_at) AS now
    FROM (SELECT) AS log LEFT JOIN (
        SELECT position, id, recorded_at FROM {schema}.events ORDER BY position DESC LIMIT 1) AS head ON true
    WHERE coalesce(head.position, 0) = $1 AND coalesce(head.id, '00000000-0000-0000-0000-000000000000') = $2
)`

const writePlan = guarded + `, new_streams AS (
    INSERT INTO {schema}.streams (id, name, category_id)
    SELECT u.id, u.name, u.category_id
    FROM guard, unnest($3::bigint[], $4::text[], $5::int[]) AS u(id, name, category_id)
), new_receipts AS (
    INSERT INTO {schema}.receipts (scope, key, fingerprint, answer, result, stored_at)
    SELECT u.scope, u.key, u.fingerprint, u.answer, u.result, guard.now
    FROM guard, unnest($6::text[], $7::text[], $8::bytea[], $9::bytea[], $10::bytea[])
        AS u(scope, key, fingerprint, answer, result)
), new_events AS (
    INSERT INTO {schema}.events (position, stream_id, version, recorded_at, id, type_id, category_id,
        append_rest, flags, data, metadata)
    SELECT u.position, u.stream_id, u.version, guard.now, u.id, u.type_id, u.category_id,
        u.append_rest, u.flags, u.data, u.metadata
    FROM guard, unnest($11::bigint[], $12::bigint[], $13::bigint[], $14::uuid[], $15::int[], $16::int[],
        $17::int[], $18::smallint[], $19::bytea[], $20::bytea[])
        AS u(position, stream_id, version, id, type_id, category_id, append_rest, flags, data, metadata)
)
SELECT now FROM guard`

// writeEvent is writePlan for one event and nothing else, in two thirds of the
// server's time. A stream's id is the position of its first event.
const writeEvent = guarded + `, new_stream AS (
    INSERT INTO {schema}.streams (id, name, category_id)
    SELECT $3::bigint, $4::text, $5::int FROM guard WHERE $3::bigint = $6::bigint
), new_event AS (
    INSERT INTO {schema}.events (position, stream_id, version, recorded_at, id, type_id, category_id,
        append_rest, flags, data, metadata)
    SELECT $6::bigint, $3::bigint, $7::bigint, guard.now, $8::uuid, $9::int, $5::int,
        0, $10::smallint, $11::bytea, $12::bytea
    FROM guard
)
SELECT now FROM guard`

// errLate says that the log did not end where the plan begins. Nothing was
// written.
var errLate = errors.New("log has moved on")

// unknownError says that a COMMIT was sent and its result was not seen, or came
// with a warning.
type unknownError struct{ cause error }

func (e *unknownError) Error() string { return "outcome of commit: " + e.cause.Error() }
func (e *unknownError) Unwrap() error { return e.cause }

func (s *Store) queueLock(b *pgx.Batch) {
	timeout := fmt.Sprintf("%dms", s.cfg.LockTimeout.Milliseconds())
	b.Queue(s.sql(lockLog), timeout)
}

// queueWrite writes the plan. A plan that is late leaves errLate in late: the
// statements behind it must run all the same.
func (s *Store) queueWrite(b *pgx.Batch, p *plan, now *time.Time, late *error) {
	sql, args := p.statement()
	b.Queue(s.sql(sql), args...).QueryRow(func(row pgx.Row) error {
		err := row.Scan(now)
		if errors.Is(err, pgx.ErrNoRows) {
			*late = errLate
			return nil
		}
		return err
	})
}

// statement returns what writes the plan, with its parameters.
func (p *plan) statement() (sql string, args []any) {
	if len(p.events) == 1 && len(p.keys) == 0 {
		return writeEvent, []any{p.base.position, pgUUID(p.base.id),
			p.streamIDs[0], p.events[0].Stream, p.categoryIDs[0],
			p.positions[0], p.versions[0], p.ids[0], p.typeIDs[0], p.flags[0], p.data[0], p.metadata[0]}
	}
	return writePlan, []any{p.base.position, pgUUID(p.base.id),
		p.newStreamIDs, p.newStreamNames, p.newStreamCategories,
		p.scopes, p.keys, p.fingerprints, p.answers, p.results,
		p.positions, p.streamIDs, p.versions, p.ids, p.typeIDs, p.categoryIDs,
		p.rests, p.flags, p.data, p.metadata}
}

// commit sends b, at whose end the server commits, and reads the results. An
// error that leaves it open whether the transaction was committed is an
// *unknownError.
func (c *session) commit(ctx context.Context, b *pgx.Batch) error {
	c.warnings.Store(0)
	results := c.SendBatch(ctx, b)
	failpoint.Hit(failpoint.AppendSent)
	err := results.Close()
	var refused *pgconn.PgError
	switch {
	case err == nil && c.warnings.Load() > 0:
		// The server has committed here but may not have seen the standby do so.
		return &unknownError{errors.New("the server committed with a warning")}
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.SeverityUnlocalized == "ERROR" && (!c.IsClosed() || pgerr.IsReadOnly(err)):
		// A session that cannot write is closed by what it is told, see pgsession.
		return err
	case c.IsClosed():
		return &unknownError{err}
	default:
		// The connection is whole, so the batch was refused before it was sent.
		return err
	}
}
