package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// takeOver applies the events since a generation's checkpoint to it and then puts it in the place of
// the one that serves its version now.
func (x *execution) takeOver(ctx context.Context, g target) error {
	// Nothing may be left to apply, and nothing can be while the projection is paused.
	if done, err := x.trySwitch(ctx, g); err != nil || done {
		return err
	}
	w := newWorker(x.runner, x.worker.projection, x.worker.runs)
	w.generation, w.hooks = g.generation, x.worker.hooks
	first := true
	w.applied = func(ctx context.Context, batch eventstore.Batch) (done bool, err error) {
		if first {
			x.meter.phase("catching up", w.from.Position, batch.Head.Position)
			first = false
		}
		if err := x.meter.read(ctx, len(batch.Events), batch.Token().Position); err != nil {
			return false, err
		}
		if batch.Next <= batch.Head.Position {
			return false, nil
		}
		return x.trySwitch(ctx, g)
	}
	var retry backoff
	for {
		moved, err := w.session(ctx, ctx)
		if moved {
			retry.reset()
		}
		switch {
		case errors.Is(err, errArrived):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, errStandby):
			if err := x.standingBy(ctx, g); err != nil {
				return err
			}
		case final(err):
			return err
		default:
			w.log.Warn().Err(err).Msg("catching up is interrupted")
		}
		sleep(ctx, retry.next())
		if done, err := x.trySwitch(ctx, g); err != nil || done {
			return err
		}
	}
}

const standingBySQL = `
SELECT p.desired = 'paused', coalesce(g.failure, ''), coalesce(g.failure_hint, '')
FROM {schema}.projections p JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE p.name = $1 AND g.generation = $2`

// standingBy returns why events cannot be applied to a generation, if that will not pass.
func (x *execution) standingBy(ctx context.Context, g target) error {
	var paused bool
	var failure, hint string
	err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(standingBySQL), g.projection, g.number).Scan(&paused, &failure, &hint)
	switch {
	case err != nil:
		return err
	case failure != "":
		return &lastError{errors.New(failure), hint}
	case paused:
		return &lastError{errors.New("the projection is paused, so the generation cannot catch up"),
			fmt.Sprintf("`recount projections resume %s`, then try again", g.projection)}
	}
	return nil
}

const (
	// Whoever waits longer holds up the readers of the view, and the worker, behind it.
	limitSwitch = `SELECT set_config('lock_timeout', '250ms', true)`

	lockServingSQL = `
SELECT generation, position FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND serving FOR UPDATE`

	lockReadySQL = `
SELECT position FROM {schema}.projection_generations
WHERE projection = $1 AND generation = $2 AND built AND position >= target AND position >= $3 AND failed_at IS NULL FOR UPDATE`

	retireSQL = `
UPDATE {schema}.projection_generations
SET serving = false, retired_at = clock_timestamp(), owner = NULL, lease_expires_at = NULL, epoch = epoch + 1
WHERE projection = $1 AND generation = $2`

	serveSQL = `
UPDATE {schema}.projection_generations
SET serving = true, retired_at = NULL, owner = NULL, lease_expires_at = NULL, epoch = epoch + 1
WHERE projection = $1 AND generation = $2`
)

// trySwitch puts g in the place of the generation that serves its version, if it has come as far.
// While something else holds a lock it tries again.
func (x *execution) trySwitch(ctx context.Context, g target) (done bool, err error) {
	var retry backoff
	for {
		done, err = x.switchTo(ctx, g)
		if !hasCode(err, codeLockTimeout) && !hasCode(err, codeDeadlock) {
			break
		}
		x.meter.phase("waiting for who reads the view", 0, 0)
		if sleep(ctx, retry.next()); ctx.Err() != nil {
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
func (x *execution) switchTo(ctx context.Context, g target) (done bool, err error) {
	call(x.worker.hooks.beforeSwitch)
	failpoint.Hit(failpoint.RebuildCaughtUp)
	done = true
	err = x.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitSwitch); err != nil {
			return err
		}
		live, err := x.catalog.lock(ctx, tx, g.projection)
		if err != nil {
			return err
		}
		var present int
		var position int64
		err = tx.QueryRow(ctx, x.catalog.sql(lockServingSQL), g.projection, x.op.Version).Scan(&present, &position)
		if err != nil {
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

const codeDeadlock = "40P01"
