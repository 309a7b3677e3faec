package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgerr"
)

const (
	// Whoever waits longer holds up the readers of the view, and the worker, behind it.
	limitSwitch = `SELECT set_config('lock_timeout', '250ms', true)`

	lockServingSQL = `
SELECT generation, log_id, incarnation, position FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND serving FOR UPDATE`

	lockReadySQL = `
SELECT position FROM {schema}.projection_generations
WHERE projection = $1 AND generation = $2 AND built AND position >= target AND position >= $3 AND failed_at IS NULL FOR UPDATE`

	// The clock may have been set back since another was retired, which is still the one before this.
	retireSQL = `
UPDATE {schema}.projection_generations
SET serving = false, owner = NULL,
    retired_at = greatest(clock_timestamp(), (SELECT max(retired_at) + interval '1 microsecond'
        FROM {schema}.projection_generations WHERE projection = $1)), lease_expires_at = NULL, epoch = epoch + 1
WHERE projection = $1 AND generation = $2`

	serveSQL = `
UPDATE {schema}.projection_generations
SET serving = true, retired_at = NULL, owner = NULL, lease_expires_at = NULL, epoch = epoch + 1
WHERE projection = $1 AND generation = $2`
)

// closeGap applies events to a generation up to a position.
type closeGap func(ctx context.Context, position int64) error

// trySwitch puts g in the place of the generation that serves its version, if it has come as far or
// closes the gap in time; a nil one does not try. While something else holds a lock it tries again.
func (x *execution) trySwitch(ctx context.Context, g target, closes closeGap) (done bool, err error) {
	var retry background.Backoff
	for {
		done, err = x.switchTo(ctx, g, closes)
		if !pgerr.Is(err, pgerr.LockNotAvailable, pgerr.Deadlock) {
			break
		}
		x.meter.Phase("waiting for who reads the view", 0, 0)
		if background.Sleep(ctx, retry.Next()); ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
	}
	if err != nil {
		return false, fmt.Errorf("switch to generation %d: %w", g.number, err)
	}
	if done {
		failpoint.Hit(failpoint.RebuildSwitched)
		x.worker.log.Info().Int("generation", g.number).Msg("generation takes its place")
	}
	return done, nil
}

// switchTo tries once. The locks hold both generations where they are meanwhile; the new epochs
// keep out whoever applied events to them.
func (x *execution) switchTo(ctx context.Context, g target, closes closeGap) (done bool, err error) {
	failpoint.HitIn(ctx, failpoint.RebuildCaughtUp)
	// A switch that closes the gap needs a second connection. One at a time cannot take all that there are.
	x.runner.switching.Lock()
	defer x.runner.switching.Unlock()
	done = true
	err = x.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitSwitch); err != nil {
			return err
		}
		live, err := x.catalog.lock(ctx, tx, g.projection)
		if err != nil {
			return err
		}
		present, position, err := x.lockServing(ctx, tx)
		if err != nil {
			return err
		}
		if err := closes.within(ctx, holdFor, position); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, x.catalog.sql(lockReadySQL), g.projection, g.number, position).Scan(&position)
		if errors.Is(err, pgx.ErrNoRows) {
			done = false
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, x.catalog.sql(retireSQL), g.projection, present); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, x.catalog.sql(serveSQL), g.projection, g.number); err != nil {
			return err
		}
		if live != present {
			return nil // the view shows another version
		}
		if _, err := tx.Exec(ctx, x.catalog.sql(setLiveSQL), g.projection, g.number); err != nil {
			return err
		}
		failpoint.Hit(failpoint.RebuildPointed)
		return x.catalog.replaceView(ctx, tx, g.generation)
	})
	return done && err == nil, err
}

// lockServing locks the generation that serves the version, and returns the position that another must
// have come to before it takes its place: none, if these rows are of another log than the present one.
func (x *execution) lockServing(ctx context.Context, tx pgx.Tx) (generation int, position int64, err error) {
	var at eventstore.Token
	err = tx.QueryRow(ctx, x.catalog.sql(lockServingSQL), x.Operation.Subject, x.Operation.Version).Scan(
		&generation, &at.Log, &at.Incarnation, &at.Position)
	if err != nil {
		return 0, 0, err
	}
	switch err := x.inLog(ctx, at); {
	case errors.Is(err, eventstore.ErrLogChanged):
		return generation, 0, nil
	case err != nil:
		return 0, 0, err
	}
	return generation, at.Position, nil
}

// inLog returns an error that matches ErrLogChanged if a place is not one of the present log.
func (x *execution) inLog(ctx context.Context, at eventstore.Token) error {
	for _, err := range x.runner.config.Store.ReadAll(ctx, eventstore.ReadOptions{After: at, Limit: 1}) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
	}
	return nil
}

// holdFor is how long a switch holds the generation that serves where it is, for the other one to come
// as far. Under appends without a pause it would never come as far by itself: both move. What it has
// applied when the time is over remains, so that the next try has a shorter way. It is less than the
// worker of the generation that is held waits for a lock: that does not even notice.
const holdFor = time.Second

// within closes the gap, or gives up after a time. That is no error.
func (c closeGap) within(ctx context.Context, limit time.Duration, position int64) error {
	if c == nil {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := c(bounded, position); err != nil && (bounded.Err() == nil || ctx.Err() != nil) {
		return err
	}
	return nil
}
