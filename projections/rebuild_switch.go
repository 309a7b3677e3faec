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
	"github.com/57528e99/recount/operations"
)

const (
	// Whoever waits longer holds up the readers of the view, and the worker, behind it.
	limitSwitch = `SELECT set_config('lock_timeout', '250ms', true), pg_backend_pid()`

	lockServingSQL = `
SELECT generation, position FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND serving AND log_id = $3 AND incarnation = $4 FOR UPDATE`

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
SET serving = true, retired_at = NULL, last_run_at = clock_timestamp(), owner = NULL, lease_expires_at = NULL, epoch = epoch + 1
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
	// A switch that closes the gap needs a second connection. One at a time cannot take all that there
	// are.
	x.runner.switching.Lock()
	defer x.runner.switching.Unlock()
	at, common, err := x.common(ctx)
	if err != nil {
		return false, err
	}
	done = true
	err = x.inTx(ctx, func(tx pgx.Tx) error {
		var timeout string
		var pid int32
		if err := tx.QueryRow(ctx, limitSwitch).Scan(&timeout, &pid); err != nil {
			return err
		}
		defer x.watchBlockers(ctx, pid)()
		live, err := x.catalog.lock(ctx, tx, g.projection)
		if err != nil {
			return err
		}
		present, position, err := x.lockServing(ctx, tx, at, common)
		if errors.Is(err, pgx.ErrNoRows) {
			done = false
			return nil
		}
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
		if err := x.catalog.switchFeed(ctx, tx, g.projection, present, g.number); err != nil {
			return err
		}
		failpoint.Hit(failpoint.RebuildPointed)
		return x.catalog.replaceView(ctx, tx, g.generation)
	})
	return done && err == nil, err
}

// blockersAfter is how long a switch waits before it looks for whom: less than it waits at all.
const blockersAfter = 100 * time.Millisecond

// blockersSQL names the sessions that one waits for. What it may not see of others is left out.
const blockersSQL = `
SELECT string_agg(format('process %s (%s)', a.pid, concat_ws(', ', coalesce(nullif(a.application_name, ''), 'no name'),
           a.state, 'query began ' || to_char(a.query_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS"Z"'))),
           ' and ' ORDER BY a.query_start, a.pid)
FROM pg_stat_activity a WHERE a.pid = ANY(pg_blocking_pids($1))`

// watchBlockers says whom the session with a pid waits for, should it wait, until the function it
// returns is called.
func (x *execution) watchBlockers(ctx context.Context, pid int32) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		background.Sleep(ctx, blockersAfter)
		var blockers *string
		err := x.catalog.pool.QueryRow(ctx, blockersSQL, pid).Scan(&blockers)
		if err != nil || blockers == nil {
			return // it does not wait any more, or is to be waited for without a name
		}
		if phase := "waiting for " + *blockers; x.meter.Enter(phase) {
			x.worker.log.Warn().Str("for", *blockers).Msg("the switch waits for others who use the rows")
		}
	}()
	return func() { cancel(); <-ended }
}

// lockServing locks the generation that serves the version, and returns the position that another
// must have come to before it takes its place: none, if these rows are of another log than the
// present one, as common found. It returns pgx.ErrNoRows if they are of another log by now than
// then.
func (x *execution) lockServing(ctx context.Context, tx pgx.Tx, seen eventstore.Token, common int64) (generation int, position int64, err error) {
	err = tx.QueryRow(ctx, x.catalog.sql(lockServingSQL), x.Operation.Subject, x.Operation.Version, seen.Log, seen.Incarnation).Scan(&generation, &position)
	if common != everything {
		position = 0
	}
	return generation, position, err
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

// holdFor is how long a switch holds the generation that serves where it is, for the other one to
// come as far. Under appends without a pause it would never come as far by itself: both move. What
// it has applied when the time is over remains, so that the next try has a shorter way. It is less
// than the worker of the generation that is held waits for a lock: that does not even notice.
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

// takeOver applies the events since a generation's checkpoint to it and then puts it in the place
// of the one that serves its version now.
func (x *execution) takeOver(ctx context.Context, g target) error {
	w := newWorker(x.runner, x.worker.projection, x.worker.runs)
	w.generation = g.generation
	x.chase(w, g)
	loop := background.Loop{
		Idle:   x.runner.config.PollInterval,
		Failed: func(err error, _ time.Duration) { w.log.Warn().Err(err).Msg("catching up is interrupted") },
	}
	tried := false
	return loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		// Nothing may be left to apply, and nothing can be while the projection is paused.
		if !tried {
			if done, err := x.trySwitch(ctx, g, nil); err != nil || done {
				return background.Done, err
			}
		}
		o := w.session(ctx, ctx)
		tried = o.ending == movedOn // in the session
		switch {
		case o.ending == arrived:
			return background.Done, nil
		case tried:
			return background.Again, nil
		case o.ending == stoodAside:
			return background.Done, o.err
		case o.ending == interrupted && isPermanent(o.err):
			return background.Done, o.err
		case o.ending == interrupted && o.moved:
			return background.Again, o.err
		case o.ending == interrupted:
			return background.Idle, o.err
		}
		if err := x.standingBy(ctx, g); err != nil {
			return background.Done, err
		}
		return background.Idle, nil
	})
}

// chase lets w, while it applies events to g, try to switch: whenever it has come to the head of
// the log, and from time to time if it gets no closer to the generation that serves, which moves as
// well.
func (x *execution) chase(w *worker, g target) {
	begun := false
	var before int64
	var looked time.Time
	w.applied = func(ctx context.Context, l *generationLease, batch eventstore.Batch) (ending, error) {
		if !begun {
			x.meter.Phase("catching up", w.from.Position, batch.Head.Position)
			begun, looked = true, time.Now()
		}
		at := batch.Token()
		if err := x.meter.Read(ctx, len(batch.Events), len(batch.Events), at.Position); err != nil {
			return goesOn, err
		}
		if batch.Next <= batch.Head.Position {
			if time.Since(looked) < chasePause {
				return goesOn, nil
			}
			gap, err := x.gap(ctx, g, at.Position)
			if err != nil {
				return goesOn, err
			}
			closer := before == 0 || gap < before-before/10
			looked, before = time.Now(), gap
			if closer {
				return goesOn, nil
			}
		}
		moved := false
		done, err := x.trySwitch(ctx, g, func(ctx context.Context, position int64) error {
			moved = moved || at.Position < position
			return w.applyUpTo(ctx, l, position)
		})
		switch {
		case err != nil:
			return goesOn, err
		case done:
			return arrived, nil
		case moved:
			return movedOn, nil
		}
		return goesOn, nil
	}
}

// chasePause is how long to see whether a generation comes closer to the one that serves.
const chasePause = 2 * time.Second

const gapSQL = `
SELECT coalesce(max(position), 0) - $3 FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND serving`

// gap returns how far the generation that serves is ahead of a position.
func (x *execution) gap(ctx context.Context, g target, position int64) (gap int64, err error) {
	err = x.catalog.pool.QueryRow(ctx, x.catalog.sql(gapSQL), g.projection, x.Operation.Version, position).Scan(&gap)
	return gap, err
}

const standingBySQL = `
SELECT p.desired = 'paused', coalesce(g.failure, ''), coalesce(g.failure_hint, '')
FROM {schema}.projections p JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE p.name = $1 AND g.generation = $2`

// standingBy returns why events cannot be applied to a generation, if that will not pass.
func (x *execution) standingBy(ctx context.Context, g target) error {
	var paused bool
	var failure string
	var reason operations.Reason
	err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(standingBySQL), g.projection, g.number).Scan(&paused, &failure, &reason)
	switch {
	case err != nil:
		return err
	case failure != "":
		return &permanentError{errors.New(failure), reason}
	case paused:
		return &permanentError{errors.New("the projection is paused, so the generation cannot catch up"), ReasonPaused}
	}
	return nil
}
