package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// takeOver applies the events since a generation's checkpoint to it and then puts it in the place of
// the one that serves its version now.
func (x *execution) takeOver(ctx context.Context, g target) error {
	// Nothing may be left to apply, and nothing can be while the projection is paused.
	if done, err := x.trySwitch(ctx, g, nil); err != nil || done {
		return err
	}
	w := newWorker(x.runner, x.worker.projection, x.worker.runs)
	w.generation, w.hooks = g.generation, x.worker.hooks
	x.chase(w, g)
	var retry backoff
	for {
		moved, err := w.session(ctx, ctx)
		if moved {
			retry.reset()
		}
		switch {
		case errors.Is(err, errArrived):
			return nil
		case errors.Is(err, errMovedOn):
			continue
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
		if done, err := x.trySwitch(ctx, g, nil); err != nil || done {
			return err
		}
	}
}

// errMovedOn ends a session whose lease has moved on beside its subscription.
var errMovedOn = errors.New("the checkpoint has moved on")

// chase lets w, while it applies events to g, try to switch: whenever it has come to the head of the
// log, and from time to time if it gets no closer to the generation that serves, which moves as well.
func (x *execution) chase(w *worker, g target) {
	begun := false
	var gap, before int64
	var looked time.Time
	w.applied = func(ctx context.Context, l *lease, batch eventstore.Batch) (done bool, err error) {
		if !begun {
			x.meter.phase("catching up", w.from.Position, batch.Head.Position)
			begun, looked = true, time.Now()
		}
		at := batch.Token()
		if err := x.meter.read(ctx, len(batch.Events), at.Position); err != nil {
			return false, err
		}
		if batch.Next <= batch.Head.Position {
			if time.Since(looked) < chasePause {
				return false, nil
			}
			if gap, err = x.gap(ctx, g, at.Position); err != nil {
				return false, err
			}
			closer := before == 0 || gap < before-before/10
			looked, before = time.Now(), gap
			if closer {
				return false, nil
			}
		}
		moved := false
		done, err = x.trySwitch(ctx, g, func(ctx context.Context, position int64) error {
			moved = moved || at.Position < position
			return w.applyUpTo(ctx, l, position)
		})
		if err == nil && !done && moved {
			err = errMovedOn
		}
		return done, err
	}
}

// chasePause is how long to see whether a generation comes closer to the one that serves.
const chasePause = 2 * time.Second

const gapSQL = `
SELECT coalesce(max(position), 0) - $3 FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND serving`

// gap returns how far the generation that serves is ahead of a position.
func (x *execution) gap(ctx context.Context, g target, position int64) (gap int64, err error) {
	err = x.catalog.pool.QueryRow(ctx, x.catalog.sql(gapSQL), g.projection, x.op.Version, position).Scan(&gap)
	return gap, err
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
