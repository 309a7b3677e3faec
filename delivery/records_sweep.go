package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/operations"
)

const (
	// attemptsKept is for how long attempts are kept.
	attemptsKept = 7 * 24 * time.Hour
	// maxDead is how many dead letters a subscription may have before it stops.
	maxDead = 100_000
	// sweepAtOnce is how many rows a transaction removes.
	sweepAtOnce = 10_000
)

// ReasonTooManyDead is why a subscription stops that has as many dead letters as it may.
const ReasonTooManyDead operations.Reason = "too-many-dead-letters"

const (
	deletedSQL = `SELECT id FROM {schema}.subscriptions WHERE name IS NULL ORDER BY id`

	// A row at a time in order of its key, and none that somebody has at hand.
	purgeParkedSQL = `
DELETE FROM {schema}.subscription_parked r USING (
    SELECT subscription, position, ordinal FROM {schema}.subscription_parked
    WHERE subscription = $1 ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED) AS gone
WHERE r.subscription = gone.subscription AND r.position = gone.position AND r.ordinal = gone.ordinal`

	purgeAttemptsOfSQL = `
DELETE FROM {schema}.subscription_attempts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.subscription_attempts WHERE subscription = $1 LIMIT $2))`

	purgeEffectsSQL = `
DELETE FROM {schema}.subscription_effects WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.subscription_effects WHERE subscription = $1 LIMIT $2))`

	// What was at somebody's hand is found by the next sweep.
	purgeOthersSQL = `
WITH skips AS (DELETE FROM {schema}.subscription_skips WHERE subscription = $1)
DELETE FROM {schema}.subscriptions WHERE id = $1 AND name IS NULL
AND NOT EXISTS (SELECT FROM {schema}.subscription_parked WHERE subscription = $1)`

	purgeAttemptsSQL = `
DELETE FROM {schema}.subscription_attempts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM {schema}.subscription_attempts WHERE at < now() - $1::interval LIMIT $2 FOR UPDATE SKIP LOCKED))`

	withDeadSQL = `
SELECT s.id, s.definition, count(*), min(r.dead_at), s.stopped_at IS NULL
FROM {schema}.subscription_parked r JOIN {schema}.subscriptions s ON s.id = r.subscription
WHERE r.state = 'dead' AND s.name IS NOT NULL GROUP BY s.id ORDER BY s.id`

	expireSQL = `
DELETE FROM {schema}.subscription_parked r USING (
    SELECT subscription, position, ordinal FROM {schema}.subscription_parked
    WHERE subscription = $1 AND state = 'dead' AND wanted IS NULL AND dead_at < now() - $3::interval
    ORDER BY position LIMIT $2 FOR UPDATE SKIP LOCKED) AS gone
WHERE r.subscription = gone.subscription AND r.position = gone.position AND r.ordinal = gone.ordinal`

	stopFullSQL = `
UPDATE {schema}.subscriptions SET stopped_at = now(), failure = $2, failure_reason = $3 WHERE id = $1 AND stopped_at IS NULL`
)

// sweep removes what is kept no longer: dead letters and attempts that are old, and what is left of subscriptions that were
// deleted. It stops subscriptions that have too many dead letters. Any process may do it, several at once also.
func (r *records) sweep(ctx context.Context) error {
	err := errors.Join(r.purgeDeleted(ctx), r.inPieces(ctx, purgeAttemptsSQL, attemptsKept, sweepAtOnce), r.expire(ctx))
	if err != nil {
		return fmt.Errorf("remove what is kept no longer: %w", err)
	}
	return nil
}

// inPieces runs a statement that removes some rows until it removes none.
func (r *records) inPieces(ctx context.Context, sql string, args ...any) error {
	for {
		var removed int64
		err := r.inTx(ctx, func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, r.sql(sql), args...)
			removed = tag.RowsAffected()
			return err
		})
		if err != nil || removed == 0 {
			return err
		}
	}
}

func (r *records) purgeDeleted(ctx context.Context) error {
	rows, err := r.pool.Query(ctx, r.sql(deletedSQL))
	if err != nil {
		return err
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	for _, id := range ids {
		for _, sql := range []string{purgeParkedSQL, purgeAttemptsOfSQL, purgeEffectsSQL} {
			if err == nil {
				err = r.inPieces(ctx, sql, id, sweepAtOnce)
			}
		}
		if err == nil {
			err = r.inTx(ctx, func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, r.sql(purgeOthersSQL), id)
				return err
			})
		}
	}
	return err
}

// expire removes dead letters that are older than their subscription keeps them. Where later events of their key wait for an
// operator they stay.
func (r *records) expire(ctx context.Context) error {
	type holder struct {
		id, count int64
		d         Definition
		oldest    *time.Time
		running   bool
	}
	rows, err := r.pool.Query(ctx, r.sql(withDeadSQL))
	if err != nil {
		return err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (h holder, err error) {
		var text string
		if err = row.Scan(&h.id, &text, &h.count, &h.oldest, &h.running); err == nil {
			h.d, err = parseStored(text)
		}
		return h, err
	})
	if err != nil {
		return err
	}
	for _, h := range all {
		kept := time.Duration(h.d.DeadLetters.Retention)
		if h.d.AfterDead != Hold && h.oldest != nil && time.Since(*h.oldest) > kept {
			if err := r.inPieces(ctx, expireSQL, h.id, sweepAtOnce, kept); err != nil {
				return err
			}
		} else if h.count >= maxDead && h.running {
			if err := r.stopFull(ctx, h.id, h.count); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *records) stopFull(ctx context.Context, id, count int64) error {
	return r.inTx(ctx, func(tx pgx.Tx) error {
		text := fmt.Sprintf("it has %d dead letters, as many as a subscription may have are %d", count, maxDead)
		if _, err := tx.Exec(ctx, r.sql(stopFullSQL), id, text, ReasonTooManyDead); err != nil {
			return err
		}
		return r.raise(ctx, tx)
	})
}

// sweepInterval is how often a process sweeps.
const sweepInterval = time.Minute

// sweepLoop sweeps now and then, in one of the processes that deliver.
func (r *Runner) sweepLoop(ctx context.Context) {
	loop := background.Loop{Idle: sweepInterval, Backoff: background.Backoff{Shortest: sweepInterval / 6, Longest: sweepInterval}, Failed: func(err error, _ time.Duration) {
		r.config.Logger.Warn().Err(err).Msg("subscriptions keep what is to be removed; it is tried again")
	}}
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		r.mu.Lock()
		first := len(r.alive) > 0 && r.alive[0].ID == r.member.ID
		r.mu.Unlock()
		if !first {
			return background.Idle, nil
		}
		return background.Idle, r.records.sweep(ctx)
	})
}
