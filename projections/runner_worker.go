package projections

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// worker runs one projection of a runner, whenever this process may.
type worker struct {
	runner     *Runner
	projection Projection
	runs       projector
	generation generation
	progress   *progress
	log        zerolog.Logger
	hooks      hooks
	// applied is told of each batch that was applied and may end the session with errArrived, or with
	// errMovedOn if it has applied more itself. It is nil for a generation that serves.
	applied func(context.Context, *lease, eventstore.Batch) (arrived bool, err error)
	// from is where the session began.
	from   eventstore.Token
	counts counts
}

// errArrived ends a session that has come as far as it was to.
var errArrived = errors.New("the generation has come to where it was to")

// hooks are where tests hold a worker. They may be nil.
type hooks struct {
	beforeAcquire, beforeWrite, beforeRenew, beforeSwitch, afterCopy func()
}

func newWorker(r *Runner, p Projection, runs projector) *worker {
	return &worker{
		runner:     r,
		projection: p,
		runs:       runs,
		progress:   newProgress(),
		log:        r.config.Logger.With().Str("projection", p.Name()).Int("version", p.Version()).Logger(),
	}
}

// run runs the projection until soft is done. What is being written then is finished, unless hard is
// done too.
func (w *worker) run(soft, hard context.Context) {
	var retry backoff
	for soft.Err() == nil {
		moved, err := w.serve(soft, hard)
		if moved {
			retry.reset()
		}
		switch {
		case soft.Err() != nil:
		case errors.Is(err, errStandby):
			sleep(soft, jitter(w.runner.config.PollInterval))
		default:
			pause := retry.next()
			w.counts.interruptions.Add(1)
			w.log.Warn().Err(err).Dur("again_in_ms", pause).Msg("projection is interrupted")
			sleep(soft, pause)
		}
	}
}

// serve runs a session on the generation that serves the projection's version now. If that is
// another one than before, it begins at once.
func (w *worker) serve(soft, hard context.Context) (moved bool, err error) {
	for {
		// The records are gone if the database was migrated down meanwhile. They are made anew when
		// it is up again.
		g, err := w.runner.catalog.ensure(hard, w.runner.config, w.projection, w.runs)
		switch {
		case err != nil:
			return moved, err
		case g.number == 0:
			return moved, errStandby // it is built on command
		}
		w.generation = g
		if moved, err = w.session(soft, hard); !errors.Is(err, errStandby) || soft.Err() != nil {
			return moved, err
		}
		now, err := w.runner.catalog.serving(hard, w.runner.config.Pool, w.projection, w.runs)
		if err != nil || now.number == g.number {
			return moved, errors.Join(errStandby, err)
		}
	}
}

// session runs the projection from taking the lease to losing it, or to an error. Moved says that
// the checkpoint did.
func (w *worker) session(soft, hard context.Context) (moved bool, err error) {
	call(w.hooks.beforeAcquire)
	failpoint.Hit(failpoint.LeaseLooked)
	lease, err := w.runner.catalog.acquire(hard, w.generation, w.applied == nil, w.runner.owner, w.runner.config.LeaseTTL)
	if err != nil {
		return false, err
	}
	w.from = lease.checkpoint.token
	w.log.Info().Int("generation", w.generation.number).Int64("position", w.from.Position).Msg("projection runs here")
	w.progress.set(true, w.from)
	err = w.follow(soft, hard, lease)
	w.progress.set(false, eventstore.Token{})
	return lease.checkpoint.token != w.from, w.end(hard, lease, err)
}

// end leaves the generation as the next session should find it.
func (w *worker) end(hard context.Context, l *lease, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(hard), time.Second)
	defer cancel()
	var at *eventError
	switch {
	case errors.As(err, &at) || stopsFor(err):
		if err := l.fail(ctx, err); err != nil {
			return err
		}
		w.counts.stops.Add(1)
		w.log.Error().Err(err).Str("hint", hint(w.runner.catalog.schema, w.projection.Name(), err)).Msg("projection stopped")
		return errStandby
	case hasCode(err, fencedCode) || errors.Is(err, errStandby) || errors.Is(err, context.Canceled):
		w.log.Info().Int64("position", l.checkpoint.token.Position).Msg("projection no longer runs here")
		return errors.Join(errStandby, l.release(ctx))
	case errors.Is(err, errArrived), errors.Is(err, errMovedOn):
		return errors.Join(err, l.release(ctx))
	default:
		// The lease is kept: this process is as likely as any to be the next that can go on.
		return errors.Join(err, l.note(ctx, err))
	}
}

// gathering is how long a projection that has caught up lets events gather before it looks again. An
// event that comes after a pause is applied at once; those of a steady stream share transactions,
// which cost the same for one event as for a hundred.
const gathering = 5 * time.Millisecond

// follow applies the log from the lease's checkpoint on. It returns an error, always.
func (w *worker) follow(soft, hard context.Context, l *lease) error {
	ctx, cancel := context.WithCancelCause(soft)
	var keeper sync.WaitGroup
	keeper.Go(func() { w.keep(ctx, cancel, l) })
	defer keeper.Wait()
	defer cancel(nil)
	if failpoint.Planted(failpoint.GoroutineLeak) {
		go w.keep(context.WithoutCancel(ctx), cancel, l)
	}

	batches := w.runner.config.Store.Subscribe(ctx, eventstore.ReadOptions{
		After:    l.checkpoint.token,
		PageSize: w.runner.config.BatchSize,
		Filter:   eventstore.Filter{Types: w.runs.types()},
	})
	var movedAt time.Time
	for batch, err := range batches {
		if ctx.Err() != nil {
			break
		}
		if err != nil {
			return err
		}
		// While there is more to come, pages without events need not each have a transaction.
		atHead := batch.Next > batch.Head.Position
		if len(batch.Events) == 0 && !atHead && time.Since(movedAt) < time.Second {
			continue
		}
		if err := w.apply(hard, l, batch.Events, batch.Token()); err != nil {
			return err
		}
		movedAt = time.Now()
		if w.applied != nil {
			arrived, err := w.applied(ctx, l, batch)
			if err != nil {
				return err
			}
			if arrived {
				return errArrived
			}
		}
		if atHead {
			sleep(ctx, gathering)
		}
	}
	if ctx.Err() == nil {
		return errors.New("the subscription ended by itself")
	}
	return context.Cause(ctx)
}

// keep renews the lease until ctx is done, and ends ctx when the lease is lost or the projection
// paused. It also makes the view show the generation once that has caught up.
func (w *worker) keep(ctx context.Context, cancel context.CancelCauseFunc, l *lease) {
	ticker := time.NewTicker(l.ttl / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		call(w.hooks.beforeRenew)
		caughtUp, err := l.renew(ctx)
		switch {
		case errors.Is(err, errStandby):
			cancel(errStandby)
			if failpoint.Planted(failpoint.GoroutineLeak) {
				continue
			}
			return
		case err != nil:
			// The next try or the next write will tell whether it matters.
			w.log.Warn().Err(err).Msg("lease is not renewed")
		case caughtUp:
			w.show(ctx, l)
		}
	}
}

func (w *worker) show(ctx context.Context, l *lease) {
	shown, err := w.runner.catalog.show(ctx, l.generation)
	switch {
	case err != nil:
		w.log.Warn().Err(err).Msg("view cannot be changed over")
	case shown:
		w.log.Info().Int("generation", l.generation.number).Msg("view shows the new generation")
	}
}

func call(hook func()) {
	if hook != nil {
		hook()
	}
}
