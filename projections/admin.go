package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
)

// Admin is for operators: it shows and steers the projections of a database, whichever processes
// run them. What it changes takes effect within a second.
type Admin struct {
	catalog *catalog
	log     eventstore.Reader
}

// NewAdmin returns access to the projections in a schema ("" is recount) of a log.
func NewAdmin(pool *pgxpool.Pool, schema string, log eventstore.Reader) *Admin {
	if schema == "" {
		schema = defaultSchema
	}
	return &Admin{catalog: newCatalog(pool, schema), log: log}
}

const statusSQL = `
SELECT g.projection, g.generation, g.version, g.generation = p.live_generation, g.serving, NOT g.built,
       g.retired_at IS NOT NULL, g.position < g.target, g.table_name,
       CASE WHEN g.lease_expires_at >= clock_timestamp() THEN coalesce(g.owner, '') ELSE '' END,
       g.log_id, g.incarnation, g.position, g.events, g.digest, g.last_event_at,
       g.failed_at, coalesce(g.failed_position, 0), g.failed_event_id, coalesce(g.failed_type, ''),
       coalesce(g.failed_stream, ''), coalesce(g.failure, ''), coalesce(g.failure_hint, ''),
       g.trouble, g.trouble_at, p.desired = 'paused', clock_timestamp()
FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE $1 = '' OR p.name = $1
ORDER BY g.projection, g.generation`

// List returns the status of all generations of all projections, ordered by name and generation.
func (a *Admin) List(ctx context.Context) ([]Status, error) {
	return a.status(ctx, "")
}

// Show returns the status of all generations of a projection, the oldest first, or an error that
// matches ErrNotFound.
func (a *Admin) Show(ctx context.Context, projection string) ([]Status, error) {
	all, err := a.status(ctx, projection)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("projection %q: %w", projection, ErrNotFound)
	}
	return all, err
}

func (a *Admin) status(ctx context.Context, projection string) ([]Status, error) {
	rows, err := a.catalog.pool.Query(ctx, a.catalog.sql(statusSQL), projection)
	if err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanStatus)
	if err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	// The head after the checkpoints, so that nobody seems to be ahead of it.
	head, err := a.log.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	all := make([]Status, len(found))
	for i, f := range found {
		if err := a.measure(ctx, &f.Status, head, f.now); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		f.setState(f.paused)
		all[i] = f.Status
	}
	return all, nil
}

// foundStatus is a status with what it needs to be finished.
type foundStatus struct {
	Status
	paused bool
	now    time.Time
}

func scanStatus(row pgx.CollectableRow) (foundStatus, error) {
	var s foundStatus
	var f Failure
	var digest []byte
	var failedAt, troubleAt *time.Time
	var eventID *uuid.UUID
	var trouble *string
	err := row.Scan(&s.Projection, &s.Generation, &s.Version, &s.Live, &s.Serving, &s.copying, &s.retired, &s.Building, &s.Table, &s.Owner,
		&s.Checkpoint.Log, &s.Checkpoint.Incarnation, &s.Position, &s.Events, &digest, &s.LastEventAt,
		&failedAt, &f.Position, &eventID, &f.Type, &f.Stream, &f.Error, &f.Hint,
		&trouble, &troubleAt, &s.paused, &s.now)
	if err != nil {
		return s, err
	}
	s.Checkpoint.Position = s.Position
	if s.LastEventAt != nil {
		*s.LastEventAt = s.LastEventAt.UTC()
	}
	if failedAt != nil {
		f.At = failedAt.UTC()
		if eventID != nil {
			f.EventID = *eventID
		}
		s.Failure = &f
	}
	if trouble != nil {
		s.Trouble = &Trouble{Error: *trouble, At: troubleAt.UTC()}
	}
	s.Digest, err = digestOf(digest)
	return s, err
}

// measure says how far a status is behind the head.
func (a *Admin) measure(ctx context.Context, s *Status, head eventstore.Token, now time.Time) error {
	s.LagEvents = max(head.Position-s.Position, 0)
	if s.LagEvents == 0 {
		return nil
	}
	for next, err := range a.log.ReadAll(ctx, eventstore.ReadOptions{From: s.Position + 1, Limit: 1}) {
		if err != nil {
			return err
		}
		s.Lag = max(now.Sub(next.RecordedAt), 0)
		s.LagSeconds = s.Lag.Seconds()
	}
	return nil
}

const setDesiredSQL = `UPDATE {schema}.projections SET desired = $2 WHERE name = $1`

// Pause stops a projection, in whichever process and in all generations, until Resume. Pausing twice
// is no error.
func (a *Admin) Pause(ctx context.Context, projection string) error {
	err := a.catalog.inTx(ctx, func(tx pgx.Tx) error { return a.setDesired(ctx, tx, projection, "paused") })
	if err != nil {
		return fmt.Errorf("pause projection %q: %w", projection, err)
	}
	return nil
}

const clearFailureSQL = `
UPDATE {schema}.projection_generations
SET failed_at = NULL, failed_position = NULL, failed_event_id = NULL, failed_type = NULL, failed_stream = NULL,
    failure = NULL, failure_hint = NULL
WHERE projection = $1 AND failed_at IS NOT NULL`

// Resume lets a paused projection run again, and one that has failed try again. Resuming one that
// runs is no error.
func (a *Admin) Resume(ctx context.Context, projection string) error {
	err := a.catalog.inTx(ctx, func(tx pgx.Tx) error {
		if err := a.setDesired(ctx, tx, projection, "running"); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, a.catalog.sql(clearFailureSQL), projection)
		return err
	})
	if err != nil {
		return fmt.Errorf("resume projection %q: %w", projection, err)
	}
	return nil
}

func (a *Admin) setDesired(ctx context.Context, tx pgx.Tx, projection, desired string) error {
	tag, err := tx.Exec(ctx, a.catalog.sql(setDesiredSQL), projection, desired)
	if err == nil && tag.RowsAffected() == 0 {
		err = ErrNotFound
	}
	return err
}

const (
	lockFailedSQL = `
SELECT generation, failed_position FROM {schema}.projection_generations
WHERE projection = $1 AND failed_event_id IS NOT NULL
ORDER BY generation FOR UPDATE`

	recordSkipSQL = `
INSERT INTO {schema}.projection_skips (projection, generation, position, event_id, event_type, failure, reason, actor)
SELECT projection, generation, failed_position, failed_event_id, failed_type, failure, $3, $4
FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2
ON CONFLICT (projection, generation, position) DO UPDATE SET reason = excluded.reason, actor = excluded.actor
RETURNING projection, generation, position, event_id, event_type, failure, reason, actor, at`
)

// Skip leaves the event that a projection stopped on out of it, for ever, and lets it go on. The
// reason and who gave it are kept. Position, if it is not 0, must be that of the event, as a guard
// against skipping another than the one looked at. If several generations have stopped, all that
// stopped at the position skip.
//
// Errors: ErrNotFound, ErrNotFailed.
func (a *Admin) Skip(ctx context.Context, projection string, position int64, reason, actor string) ([]Skip, error) {
	if reason == "" {
		return nil, fmt.Errorf("skip an event of projection %q: give a reason", projection)
	}
	var skips []Skip
	err := a.catalog.inTx(ctx, func(tx pgx.Tx) error {
		var live int
		err := tx.QueryRow(ctx, a.catalog.sql(lockProjectionSQL), projection).Scan(&live)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		skips, err = a.skipFailed(ctx, tx, projection, position, storable(reason), storable(actor))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, a.catalog.sql(clearFailureSQL+` AND failed_event_id IS NOT NULL AND ($2 = 0 OR failed_position = $2)`), projection, position)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("skip an event of projection %q: %w", projection, err)
	}
	return skips, nil
}

func (a *Admin) skipFailed(ctx context.Context, tx pgx.Tx, projection string, position int64, reason, actor string) ([]Skip, error) {
	failed, err := a.lockFailed(ctx, tx, projection, position)
	if err != nil {
		return nil, err
	}
	var skips []Skip
	for _, generation := range failed {
		rows, err := tx.Query(ctx, a.catalog.sql(recordSkipSQL), projection, generation, reason, actor)
		if err != nil {
			return nil, err
		}
		skip, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[Skip])
		if err != nil {
			return nil, err
		}
		skips = append(skips, skip)
	}
	return skips, nil
}

// lockFailed returns the generations that stopped on the event at a position, or on any for 0.
func (a *Admin) lockFailed(ctx context.Context, tx pgx.Tx, projection string, position int64) ([]int, error) {
	rows, err := tx.Query(ctx, a.catalog.sql(lockFailedSQL), projection)
	if err != nil {
		return nil, err
	}
	var failed []int
	var generation int
	var stoppedAt int64
	_, err = pgx.ForEachRow(rows, []any{&generation, &stoppedAt}, func() error {
		if position == 0 || position == stoppedAt {
			failed = append(failed, generation)
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, err
	case len(failed) == 0 && stoppedAt != 0:
		return nil, fmt.Errorf("%w at position %d: it stopped at %d", ErrNotFailed, position, stoppedAt)
	case len(failed) == 0:
		return nil, ErrNotFailed
	}
	return failed, nil
}

const listSkipsSQL = `
SELECT projection, generation, position, event_id, event_type, failure, reason, actor, at
FROM {schema}.projection_skips WHERE projection = $1 ORDER BY generation, position LIMIT 1000`

// Skips returns the events that were left out of a projection, at most the first 1000.
func (a *Admin) Skips(ctx context.Context, projection string) ([]Skip, error) {
	rows, err := a.catalog.pool.Query(ctx, a.catalog.sql(listSkipsSQL), projection)
	if err != nil {
		return nil, fmt.Errorf("list what projection %q skips: %w", projection, err)
	}
	skips, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Skip])
	if err != nil {
		return nil, fmt.Errorf("list what projection %q skips: %w", projection, err)
	}
	return skips, nil
}
