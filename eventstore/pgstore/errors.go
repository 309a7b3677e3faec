package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsql"
)

func isLockTimeout(err error) bool { return pgerr.Is(err, pgerr.LockNotAvailable) }

// isPermanent reports whether trying again soon cannot help.
func isPermanent(err error) bool {
	return errors.Is(err, eventstore.ErrLogMoved) || pgerr.IsPermanent(err)
}

var errReadOnly = fmt.Errorf("%w: %w", eventstore.ErrUnavailable, eventstore.ErrReadOnly)

// translate turns a driver's error into one of package eventstore, for
// operations that wrote nothing.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, eventstore.ErrUnavailable), errors.Is(err, eventstore.ErrCorrupt),
		errors.Is(err, context.Canceled):
		return err
	case pgerr.LacksTables(err):
		return eventstore.WithReason(fmt.Errorf("%w: the database lacks tables of this version: %w", eventstore.ErrUnavailable, err),
			"tables-behind", "", "")
	case pgerr.Is(err, pgerr.DiskFull):
		return fmt.Errorf("%w: the database's disk is full; free space, nothing is lost: %w", eventstore.ErrUnavailable, err)
	case pgerr.IsReadOnly(err):
		return fmt.Errorf("%w: %w", errReadOnly, err)
	default:
		return fmt.Errorf("%w: %w", eventstore.ErrUnavailable, err)
	}
}

// translateAppend turns what the database says of one request into an error
// for its caller. A uniqueness that the verdict did not foresee is an id that
// was used before; any other is damage.
func (s *Store) translateAppend(r *request, err error) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || !pgerr.IsContent(err) {
		return fmt.Errorf("append to %s: %w", r.appends[0].Stream, translate(err))
	}
	switch {
	case refused.Code == pgerr.UniqueViolation && refused.ConstraintName == "events_stream_supplied_id":
		return reusedID(r, refused.Detail)
	case pgerr.In(err, pgerr.ClassConstraint):
		return fmt.Errorf("append to %s: %w: %w", r.appends[0].Stream, eventstore.ErrCorrupt, err)
	default:
		return &eventstore.InvalidError{Field: "events", Reason: "are refused by the database: " + refused.Message}
	}
}

// reusedID finds the id that was refused: the database's detail names it.
func reusedID(r *request, detail string) error {
	reused := &eventstore.IDReusedError{Stream: r.appends[0].Stream,
		Reason: "an id of this append is stored already, at another version"}
	for _, a := range r.appends {
		for _, e := range a.Events {
			if e.ID != uuid.Nil && strings.Contains(detail, e.ID.String()) {
				reused.Stream, reused.ID = a.Stream, e.ID
			}
		}
	}
	return reused
}

// explainTimeout bounds the search for whoever holds the lock: the pool may be
// in use, by those who wait for it.
const explainTimeout = time.Second

// explainLock names whoever holds the lock of the log.
func (s *Store) explainLock(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(ctx, explainTimeout)
	defer cancel()
	const holders = `
SELECT format('process %s (%s, user %s, %s for %s)', a.pid, coalesce(nullif(a.application_name, ''), 'no name'),
              a.usename, a.state, date_trunc('second', clock_timestamp() - a.xact_start))
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.relation = $1::regclass AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
  AND l.granted AND l.mode IN ('RowShareLock', 'ExclusiveLock', 'AccessExclusiveLock')
  AND a.wait_event_type IS DISTINCT FROM 'Lock'
ORDER BY a.xact_start LIMIT 1`
	holder := "somebody"
	// Without a name the error is still right.
	_ = s.cfg.Pool.QueryRow(ctx, holders, pgsql.Name(s.cfg.Schema, "log_lock")).Scan(&holder)
	return fmt.Errorf("%w: the log is locked by %s; if it does not end, end it with pg_terminate_backend: %w",
		eventstore.ErrUnavailable, holder, err)
}

// newBackoff is for attempts that callers wait for.
func newBackoff() background.Backoff {
	return background.Backoff{Shortest: 10 * time.Millisecond, Longest: 500 * time.Millisecond}
}
