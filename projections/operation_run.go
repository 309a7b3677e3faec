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
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/operations"
)

// execution is an operation at work in this process.
type execution struct {
	*claim
	runner *Runner
	worker *worker // knows the projection; it is not the one that follows the log
	meter  *operations.Meter
	seat   *seat
}

// execute works on an operation, see operations.Claim.Do.
func (r *Runner) execute(ctx context.Context, cl *operations.Claim, s *seat) error {
	defer s.leave()
	o := cl.Operation
	w := r.workerFor(o.Subject, o.Version)
	if w == nil && !o.Cancelling {
		return errors.Join(lease.ErrTaken, cl.Release(ctx, r.catalog.pool, lease.Clause{}))
	}
	x := &execution{claim: &claim{cl, r.catalog}, runner: r, worker: w, seat: s}
	err := cl.Do(ctx, x, r.config.Logger.With().Str("projection", o.Subject).Int("version", o.Version).Logger())
	if w != nil {
		background.Wake(w.wake) // it may have waited for these rows
	}
	return err
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

// Do implements operations.Work.
func (x *execution) Do(ctx context.Context, _ *operations.Claim, m *operations.Meter) (result any, err error) {
	x.meter = m
	if _, isFold := x.worker.runs.(bulk); !isFold || x.Operation.Kind == Rollback || x.Operation.Kind == Repair {
		x.seat.leave() // it makes no passes
	}
	switch x.Operation.Kind {
	case Rebuild:
		return x.rebuild(ctx)
	case Rollback:
		return x.rollback(ctx)
	case Verify:
		return x.verify(ctx)
	case Repair:
		return x.repair(ctx)
	}
	return nil, &permanentError{err: fmt.Errorf("operations of the kind %q are unknown to this program", x.Operation.Kind)}
}

// IsPermanent implements operations.Work.
func (x *execution) IsPermanent(err error) bool { return isPermanent(err) }

// stoppedSQL is whether a generation has stopped on the event at a position, so that it can be
// skipped.
const stoppedSQL = `
SELECT EXISTS (SELECT FROM {schema}.projection_generations WHERE projection = $1 AND failed_position = $2)`

// Reason implements operations.Work.
func (x *execution) Reason(ctx context.Context, _ *operations.Claim, err error) operations.Reason {
	var last *permanentError
	var at *eventError
	switch {
	case errors.As(err, &last):
		return last.reason
	case errors.Is(err, errTooLarge):
		return ReasonTooLarge
	case errors.As(err, &at):
		stopped := true
		if err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(stoppedSQL), x.Operation.Subject, at.event.Position).Scan(&stopped); err == nil && !stopped {
			return ReasonAppliedBefore
		}
	}
	return reasonOf(err)
}

// presentFold returns what the projection runs, which must be a fold, and the generation that has
// its rows.
func (x *execution) presentFold(ctx context.Context) (bulk, generation, error) {
	fold, ok := x.worker.runs.(bulk)
	if !ok {
		return nil, generation{}, &permanentError{errors.New("only folds can be verified and repaired"), ReasonNoFold}
	}
	g, err := x.present(ctx, x.catalog.pool)
	return fold, g, err
}

// present returns the generation that serves the version, which must have its rows.
func (x *execution) present(ctx context.Context, db querier) (generation, error) {
	g, err := x.catalog.serving(ctx, db, x.worker.projection, x.worker.runs)
	if isNoRows(err) || err == nil && !g.built {
		err = &permanentError{fmt.Errorf("version %d of the projection has no rows yet", x.Operation.Version), ReasonNotBuilt}
	}
	return g, err
}

// pass returns what all passes of the operation have in common.
func (x *execution) pass(ctx context.Context, target int64, skips map[int64]bool) pass {
	o := x.Operation.Options
	return pass{
		log:     x.runner.config.Store,
		codec:   x.runner.config.Codec,
		types:   x.worker.runs.types(),
		knows:   x.runner.knows,
		target:  target,
		skips:   skips,
		workers: cmp.Or(o.Workers, min(runtime.GOMAXPROCS(0), operations.MaxWorkers)),
		memory:  cmp.Or(o.MemoryBytes, operations.DefaultMemory),

		throttle: o.Throttle,
		rounds:   x.seat.taken(),
		read:     func(own, all int, position int64) error { return x.meter.Read(ctx, own, all, position) },
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

// The kinds of operations on projections.
const (
	// Rebuild builds the rows anew beside the present ones, then takes their place.
	Rebuild operations.Kind = "rebuild"
	// Rollback takes the generation before the present one up to date and puts it back.
	Rollback operations.Kind = "rollback"
	// Verify compares the rows with a fresh fold of the log. Its result is a Verification.
	Verify operations.Kind = "verify"
	// Repair makes one row anew from the log. Its result is a Repaired.
	Repair operations.Kind = "repair"
)

// ErrNoGeneration is returned for a rollback that has no generation to go back to, with
// operations.ErrInvalid.
var ErrNoGeneration = eventstore.NewError(eventstore.ClassNotFound, "there is no generation to go back to")

// checkRequest returns an error that matches operations.ErrInvalid if a request cannot be done with
// p, whatever the database has.
func checkRequest(q operations.Request, p Projection) error {
	if q.Kind != Verify && q.Kind != Repair {
		return nil
	}
	fold, ok := p.(interface{ checkKey(text string) error })
	if !ok {
		return fmt.Errorf("%w: only folds can be verified and repaired; rebuild a SQL projector", operations.ErrInvalid)
	}
	if q.Kind == Verify {
		return nil
	}
	if err := fold.checkKey(q.Options.Key); err != nil {
		return operations.InvalidOption("key", "cannot be read: %v; give a key of one column as text, one of several as a JSON "+
			"array of their values or as an object with the names of its columns", err)
	}
	return nil
}

// claim is the right to work on an operation on a projection.
type claim struct {
	*operations.Claim
	catalog *catalog
}

// inTx runs f in a transaction that takes effect only while the claim holds.
func (cl *claim) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return cl.catalog.inTx(ctx, func(tx pgx.Tx) error { return cl.InTx(ctx, tx, f) })
}

const liveVersionSQL = `
SELECT g.version FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation
WHERE p.name = $1`

// admit returns an error if a request cannot be done with what the database has. The projection of
// a rebuild is made known to it.
func (c *catalog) admit(ctx context.Context, q operations.Request) error {
	if q.Kind == Rebuild {
		_, err := c.pool.Exec(ctx, c.sql(registerSQL), q.Subject, c.app)
		return err
	}
	var live int
	if err := c.pool.QueryRow(ctx, c.sql(liveVersionSQL), q.Subject).Scan(&live); err != nil {
		return notFound(err)
	}
	switch q.Kind {
	case Rollback:
		err := c.pool.QueryRow(ctx, c.sql(retiredSQL), q.Subject, q.Version).Scan(new(int))
		if isNoRows(err) {
			err = fmt.Errorf("%w: %w", operations.ErrInvalid, noGeneration(q.Version))
		}
		return err
	case Repair:
		if q.Options.Key == "" {
			return operations.InvalidOption("key", "must be that of the row to repair")
		}
	case Verify:
	default:
		return fmt.Errorf("%w: there are no operations of the kind %q", operations.ErrInvalid, q.Kind)
	}
	return nil
}

// permanentError ends an operation: it would come again.
type permanentError struct {
	err    error
	reason operations.Reason
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
