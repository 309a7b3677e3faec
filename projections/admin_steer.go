package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

const setDesiredSQL = `
UPDATE {schema}.projections p SET desired = $2
FROM (SELECT name, desired FROM {schema}.projections WHERE name = $1 FOR UPDATE) was
WHERE p.name = was.name RETURNING was.desired <> p.desired`

// Pause stops a projection, in whichever process and in all generations, until Resume. Pausing
// twice is no error. The reason, which may be empty, and who gave it are kept, if that changed anything: see Audit.
func (a *Admin) Pause(ctx context.Context, projection, reason, actor string) error {
	err := a.catalog.inTx(ctx, func(tx pgx.Tx) error {
		if isNew, err := a.setDesired(ctx, tx, projection, "paused"); err != nil || !isNew {
			return err
		}
		return a.catalog.audit(ctx, tx, projection, actor, "pause", reason)
	})
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
// runs is no error. The reason and who gave it are kept as by Pause.
func (a *Admin) Resume(ctx context.Context, projection, reason, actor string) error {
	err := a.catalog.inTx(ctx, func(tx pgx.Tx) error {
		isNew, err := a.setDesired(ctx, tx, projection, "running")
		if err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, a.catalog.sql(clearFailureSQL), projection)
		if err != nil || !isNew && tag.RowsAffected() == 0 {
			return err
		}
		return a.catalog.audit(ctx, tx, projection, actor, "resume", reason)
	})
	if err != nil {
		return fmt.Errorf("resume projection %q: %w", projection, err)
	}
	return nil
}

// setDesired reports whether it was another before.
func (a *Admin) setDesired(ctx context.Context, tx pgx.Tx, projection, desired string) (isNew bool, err error) {
	if err := a.catalog.check(ctx, tx, projection); err != nil {
		return false, err
	}
	err = tx.QueryRow(ctx, a.catalog.sql(setDesiredSQL), projection, desired).Scan(&isNew)
	if errors.Is(err, pgx.ErrNoRows) {
		err = ErrNotFound
	}
	return isNew, err
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
// Errors: ErrNotFound, ErrNotFailed, operations.ErrInvalid for a reason that is empty.
func (a *Admin) Skip(ctx context.Context, projection string, position int64, reason, actor string) ([]Skip, error) {
	if reason == "" {
		return nil, fmt.Errorf("skip an event of projection %q: %w", projection, operations.InvalidOption("reason", "must say why"))
	}
	var skips []Skip
	err := a.catalog.inTx(ctx, func(tx pgx.Tx) error {
		if err := a.catalog.check(ctx, tx, projection); err != nil {
			return err
		}
		_, err := a.catalog.lock(ctx, tx, projection)
		if err != nil {
			return err
		}
		skips, err = a.skipFailed(ctx, tx, projection, position, operations.SanitizeText(reason), operations.SanitizeText(actor))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, a.catalog.sql(clearFailureSQL+` AND failed_event_id IS NOT NULL AND ($2 = 0 OR failed_position = $2)`), projection, position)
		if err != nil {
			return err
		}
		return a.catalog.audit(ctx, tx, projection, actor, "skip", fmt.Sprintf("position %d: %s", skips[0].Position, reason))
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
	if err := a.catalog.check(ctx, a.catalog.pool, projection); err != nil {
		return nil, fmt.Errorf("list what projection %q skips: %w", projection, err)
	}
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

const (
	auditSQL = `INSERT INTO {schema}.projection_audit (projection, actor, action, detail) VALUES ($1, $2, $3, $4)`

	auditOfSQL = `
SELECT at, actor, action, detail FROM {schema}.projection_audit WHERE projection = $1 ORDER BY at DESC LIMIT 10`
)

// audit writes down what an operator did.
func (c *catalog) audit(ctx context.Context, tx pgx.Tx, projection, actor, action, detail string) error {
	_, err := tx.Exec(ctx, c.sql(auditSQL), projection, operations.SanitizeText(actor), action, operations.SanitizeText(detail))
	return err
}

// Audit returns the last ten times that somebody paused, resumed or dropped a projection of this name or skipped an event, the
// last first. What operations were asked for, Operations has.
func (a *Admin) Audit(ctx context.Context, projection string) ([]operations.AuditEntry, error) {
	rows, err := a.catalog.pool.Query(ctx, a.catalog.sql(auditOfSQL), projection)
	var all []operations.AuditEntry
	if err == nil {
		all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[operations.AuditEntry])
	}
	if err != nil {
		return nil, fmt.Errorf("list what was done with projection %q: %w", projection, err)
	}
	for i := range all {
		all[i].At = all[i].At.UTC()
	}
	return all, nil
}
