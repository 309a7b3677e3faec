package projections

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/operations"
)

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
