package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
)

// execution is an operation at work in this process.
type execution struct {
	*claim
	runner *Runner
	worker *worker // knows the projection; it is not the one that follows the log
	meter  *progressMeter
	seat   *seat
}

// execute works on an operation until it has ended, or this process cannot go on with it. A nil
// error, and an *OperationError, say that it has ended; after any other it is left to whoever
// claims it next.
func (r *Runner) execute(ctx context.Context, cl *claim, s *seat) error {
	defer s.leave()
	if cl.op.Cancelling {
		return cl.endCancelled(context.WithoutCancel(ctx))
	}
	w := r.workerFor(cl.op.Projection, cl.op.Version)
	if w == nil {
		return errors.Join(lease.ErrTaken, cl.Release(ctx, cl.catalog.pool))
	}
	x := &execution{claim: cl, runner: r, worker: w, meter: newProgressMeter(cl.op.Options.Throttle), seat: s}
	failpoint.Hit(failpoint.OperationClaimed)
	work, stop := lease.Keep(ctx, x.TTL, x.renewClaim)
	defer stop()
	result, err := x.run(work)
	if err != nil && work.Err() != nil {
		err = context.Cause(work)
	}
	stop()
	failpoint.Hit(failpoint.OperationEnding)
	return x.end(ctx, result, err)
}

// workerFor returns the worker that knows a version of a projection.
func (r *Runner) workerFor(projection string, version int) *worker {
	for _, w := range r.workers {
		if w.projection.Name() == projection && w.projection.Version() == version {
			return w
		}
	}
	return nil
}

// run does what the operation is for, and returns its result.
func (x *execution) run(ctx context.Context) (result any, err error) {
	if _, isFold := x.worker.runs.(bulk); !isFold || x.op.Kind == Rollback || x.op.Kind == Repair {
		x.seat.leave() // it makes no passes
	}
	switch x.op.Kind {
	case Rebuild:
		return x.rebuild(ctx)
	case Rollback:
		return nil, x.rollback(ctx)
	case Verify:
		return x.verify(ctx)
	case Repair:
		return x.repair(ctx)
	}
	return nil, &permanentError{err: fmt.Errorf("operations of the kind %q are unknown to this program", x.op.Kind)}
}

// renewClaim extends the claim and says how far the work is.
func (x *execution) renewClaim(ctx context.Context) error {
	err := x.renew(ctx, x.meter.progress())
	if errors.Is(err, lease.ErrLost) || errors.Is(err, errCancelled) {
		return err
	}
	if err != nil && ctx.Err() == nil {
		x.worker.log.Warn().Err(err).Msg("claim on an operation is not renewed")
	}
	return nil
}

// permanentError ends an operation: it would come again.
type permanentError struct {
	err  error
	hint string
}

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// isPermanent reports whether an operation that ended with err would do so again.
func isPermanent(err error) bool {
	var last *permanentError
	var at *eventError
	if isUnknownSchema(err) {
		return false
	}
	return errors.As(err, &last) || errors.As(err, &at) || errors.Is(err, errTooLarge) || isLogError(err) ||
		isDataError(err)
}

// end leaves the operation as whoever looks next should find it.
func (x *execution) end(ctx context.Context, result any, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	// A write that was fenced does not say by what.
	if lease.IsFenced(err) {
		err = cmp.Or(x.renew(ctx, x.meter.progress()), err)
	}
	state, hinted := OperationDone, ""
	switch {
	case err == nil:
	case errors.Is(err, errCancelled):
		state = OperationCancelled
	case isPermanent(err):
		state = OperationFailed
	default:
		return errors.Join(err, x.Release(ctx, x.catalog.pool))
	}
	if state != OperationDone {
		if err := x.discard(ctx, state, err); err != nil {
			return errors.Join(err, x.Release(ctx, x.catalog.pool))
		}
	}
	if state == OperationFailed {
		hinted = x.hintFor(ctx, err)
	}
	p := x.meter.progress()
	if err := x.renew(ctx, p); err != nil && !errors.Is(err, errCancelled) {
		return err
	}
	if err := x.finish(ctx, state, result, err, hinted); err != nil {
		return err
	}
	x.worker.log.Info().Stringer("operation", x.op.ID).Str("kind", string(x.op.Kind)).Str("state", string(state)).
		AnErr("error", err).Msg("operation has ended")
	ended, readErr := x.catalog.operation(ctx, x.op.ID)
	if readErr != nil || state == OperationDone {
		return readErr
	}
	return &OperationError{Operation: ended}
}

// stoppedSQL is whether a generation has stopped on the event at a position, so that it can be skipped.
const stoppedSQL = `
SELECT EXISTS (SELECT FROM {schema}.projection_generations WHERE projection = $1 AND failed_position = $2)`

func (x *execution) hintFor(ctx context.Context, err error) string {
	var last *permanentError
	var at *eventError
	switch {
	case errors.As(err, &last):
		return last.hint
	case errors.Is(err, errTooLarge):
		return "allow more memory, or fewer workers"
	case errors.As(err, &at):
		stopped := true
		if err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(stoppedSQL), x.op.Projection, at.event.Position).Scan(&stopped); err == nil && !stopped {
			return "the projection has not stopped on this event: its rows are from when it could be applied, and stay. Correct the program, and try again"
		}
	}
	return hint(x.catalog.schema, x.op.Projection, err)
}

// fold returns what the projection runs, which must be a fold.
func (x *execution) fold() (bulk, error) {
	fold, ok := x.worker.runs.(bulk)
	if !ok {
		return nil, &permanentError{errors.New("only folds can be verified and repaired"),
			fmt.Sprintf("`recount projections rebuild %s` makes its rows anew", x.op.Projection)}
	}
	return fold, nil
}

// present returns the generation that serves the version, which must have its rows.
func (x *execution) present(ctx context.Context, db querier) (generation, error) {
	g, err := x.catalog.serving(ctx, db, x.worker.projection, x.worker.runs)
	if isNoRows(err) || err == nil && !g.built {
		err = &permanentError{fmt.Errorf("version %d of the projection has no rows yet", x.op.Version),
			fmt.Sprintf("`recount projections rebuild %s` makes them", x.op.Projection)}
	}
	return g, err
}

// pass returns what all passes of the operation have in common.
func (x *execution) pass(ctx context.Context, target int64, skips map[int64]bool) pass {
	o := x.op.Options
	return pass{
		log:     x.runner.config.Store,
		codec:   x.runner.config.Codec,
		types:   x.worker.runs.types(),
		knows:   x.runner.knows,
		target:  target,
		skips:   skips,
		workers: cmp.Or(o.Workers, min(runtime.GOMAXPROCS(0), maxWorkers)),
		memory:  cmp.Or(o.MemoryBytes, defaultMemory),

		throttle: o.Throttle,
		rounds:   x.seat.taken(),
		read:     func(own, all int, position int64) error { return x.meter.read(ctx, own, all, position) },
	}
}

// skipsUpTo returns the positions that a generation leaves out.
func (c *catalog) skipsUpTo(ctx context.Context, g generation, target int64) (map[int64]bool, error) {
	rows, err := c.pool.Query(ctx, c.sql(skipsSQL+` AND position <= $4`), g.projection, g.number, 0, target)
	if err != nil {
		return nil, err
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	skips := make(map[int64]bool, len(positions))
	for _, position := range positions {
		skips[position] = true
	}
	return skips, err
}

// lastEventAt returns when the last event of a fold up to a position was recorded; nil: there is
// none.
func lastEventAt(ctx context.Context, log eventstore.Reader, types []string, position int64) (*time.Time, error) {
	if position == 0 {
		return nil, nil
	}
	options := eventstore.ReadOptions{Backwards: true, From: position, Limit: 1, Filter: eventstore.Filter{Types: types}}
	for e, err := range log.ReadAll(ctx, options) {
		if err != nil {
			return nil, err
		}
		return &e.RecordedAt, nil
	}
	return nil, nil
}
