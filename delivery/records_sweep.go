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

	// What is old and what is new of each is found by an index.
	holdersSQL = `
SELECT s.id, s.name, s.definition, s.stopped_at IS NULL,
    (SELECT r.dead_at FROM {schema}.subscription_parked r WHERE r.subscription = s.id AND r.state = 'dead' ORDER BY r.dead_at LIMIT 1),
    (SELECT r.dead_at FROM {schema}.subscription_parked r WHERE r.subscription = s.id AND r.state = 'dead' ORDER BY r.dead_at DESC LIMIT 1),
    (SELECT count(*) FROM (
        SELECT FROM {schema}.subscription_parked r
        WHERE r.subscription = s.id AND r.state = 'dead' AND r.dead_at > coalesce(seen.at, '-infinity') LIMIT $1) AS letters)
FROM {schema}.subscriptions s LEFT JOIN unnest($2::bigint[], $3::timestamptz[]) AS seen (id, at) ON seen.id = s.id
WHERE s.name IS NOT NULL ORDER BY s.id`

	countDeadSQL = `
SELECT count(*) FROM (SELECT FROM {schema}.subscription_parked WHERE subscription = $1 AND state = 'dead' LIMIT $2) AS letters`

	expireSQL = `
DELETE FROM {schema}.subscription_parked r USING (
    SELECT subscription, position, ordinal FROM {schema}.subscription_parked
    WHERE subscription = $1 AND state = 'dead' AND wanted IS NULL AND dead_at < now() - $3::interval
    ORDER BY dead_at LIMIT $2 FOR UPDATE SKIP LOCKED) AS gone
WHERE r.subscription = gone.subscription AND r.position = gone.position AND r.ordinal = gone.ordinal`

	stopFullSQL = `
UPDATE {schema}.subscriptions SET stopped_at = now(), failure = $2, failure_reason = $3 WHERE id = $1 AND stopped_at IS NULL`
)

// sweep removes what is kept no longer: dead letters and attempts that are old, and what is left of subscriptions that were
// deleted. It stops subscriptions that have too many dead letters, and returns those. Any process may do it, several at once also.
func (r *records) sweep(ctx context.Context, seen deadCounts) (stopped []deadHolder, err error) {
	stopped, err = r.expire(ctx, seen)
	err = errors.Join(r.buryEndedReplays(ctx), r.purgeDeleted(ctx), r.inPieces(ctx, purgeAttemptsSQL, attemptsKept, sweepAtOnce), err)
	if err != nil {
		return stopped, fmt.Errorf("remove what is kept no longer: %w", err)
	}
	return stopped, nil
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

// deadHolder is a subscription, and its dead letters.
type deadHolder struct {
	id         int64
	name       string
	definition Definition
	running    bool
	// oldest and newest are when the first and the last of them died, nil if there are none.
	oldest, newest *time.Time
	// count is how many it has, or had since they were counted last.
	count int64
	// stopped is why it was stopped, for having so many.
	stopped string
}

// deadCounts is how many dead letters subscriptions were seen to have by sweeps before, by id, and when the last of them had died:
// a sweep counts only those that died since. Those that are gone are counted still, until that makes too many.
type deadCounts map[int64]deadCount

type deadCount struct {
	n      int64
	newest time.Time
}

// expire removes dead letters that are older than their subscription keeps them. Where later events of their key wait for an
// operator they stay. It stops subscriptions that have too many.
func (r *records) expire(ctx context.Context, seen deadCounts) (stopped []deadHolder, err error) {
	all, err := r.deadHolders(ctx, seen)
	if err != nil {
		return nil, err
	}
	for i := range all {
		h := &all[i]
		kept := time.Duration(h.definition.DeadLetters.Retention)
		if h.definition.AfterDead != Hold && h.oldest != nil && time.Since(*h.oldest) > kept {
			if err := r.inPieces(ctx, expireSQL, h.id, sweepAtOnce, kept); err != nil {
				return stopped, err
			}
		} else if h.count >= maxDead && h.running {
			if err := r.stopFull(ctx, h); err != nil {
				return stopped, err
			}
			if h.stopped != "" {
				stopped = append(stopped, *h)
			}
		}
		delete(seen, h.id)
		if h.newest != nil {
			seen[h.id] = deadCount{h.count, *h.newest}
		}
	}
	return stopped, nil
}

func (r *records) deadHolders(ctx context.Context, seen deadCounts) (all []deadHolder, err error) {
	var ids []int64
	var newest []time.Time
	for id, c := range seen {
		ids, newest = append(ids, id), append(newest, c.newest)
	}
	err = r.inTx(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, r.sql(holdersSQL), maxDead, ids, newest)
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (h deadHolder, err error) {
			var text string
			if err = row.Scan(&h.id, &h.name, &text, &h.running, &h.oldest, &h.newest, &h.count); err == nil {
				h.count += seen[h.id].n
				if h.definition, err = parseStored(text); err != nil {
					h.definition.AfterDead, err = Hold, nil // who can read it removes what is too old
				}
			}
			return h, err
		})
		return err
	})
	return all, err
}

// stopFull stops a subscription if it has as many dead letters as it may, and says why in h.stopped; empty: it has not, or has
// stopped.
func (r *records) stopFull(ctx context.Context, h *deadHolder) error {
	stopped, text := false, ""
	err := r.inTx(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, r.sql(countDeadSQL), h.id, maxDead).Scan(&h.count); err != nil || h.count < maxDead {
			return err
		}
		text = fmt.Sprintf("it has %d dead letters, as many as a subscription may have", h.count)
		tag, err := tx.Exec(ctx, r.sql(stopFullSQL), h.id, text, ReasonTooManyDead)
		if stopped = tag.RowsAffected() > 0; err != nil || !stopped {
			return err
		}
		return r.raise(ctx, tx)
	})
	if stopped && err == nil {
		h.stopped = text
	}
	return err
}

// sweepInterval is how often a process sweeps.
const sweepInterval = time.Minute

// sweepLoop sweeps now and then, in one of the processes that deliver.
func (r *Runner) sweepLoop(ctx context.Context) {
	loop := background.Loop{Idle: sweepInterval, Backoff: background.Backoff{Shortest: sweepInterval / 6, Longest: sweepInterval}, Failed: func(err error, _ time.Duration) {
		r.config.Logger.Warn().Err(err).Msg("removing what is kept no longer, and looking what nobody pulls, was interrupted; it is tried again")
	}}
	seen, told := make(deadCounts), make(map[int64]bool)
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		r.mu.Lock()
		first := len(r.alive) > 0 && r.alive[0].ID == r.member.ID
		r.mu.Unlock()
		if !first {
			return background.Idle, nil
		}
		stopped, err := r.records.sweep(ctx, seen)
		for i := range stopped {
			r.alertFull(&stopped[i])
		}
		return background.Idle, errors.Join(err, r.alertUnpulled(ctx, told, nobodyPulls))
	})
}

// alertFull tells of a subscription that was stopped, but for one that takes alerts, as running.alert does.
func (r *Runner) alertFull(h *deadHolder) {
	if s, err := newSelector(&h.definition); err == nil && !s.namesAlerts() {
		r.alerts.add(h.name, TypeSubscriptionStopped, Alert{Count: 1, Class: string(ReasonTooManyDead), Error: h.stopped})
	}
}
