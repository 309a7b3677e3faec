package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/operations"
)

// Run does an operation in this process and returns it when it has ended. The runner need not have
// been started. If such an operation is running already it is that one which is meant: Run follows
// it, with its own options, and goes on with it when its process has died. One that is being
// cancelled is not meant: Run waits for its end first. If ctx ends, what was begun can be run
// again, or is gone on with by another process.
//
// Report, which may be nil, is told about once a second how far it is, and at last that it has
// ended.
//
// Errors: *operations.BusyError for an operation of another kind, *operations.EndedError,
// ErrNotFound if the runner does not know the projection, operations.ErrInvalid, those of the
// database.
func (r *Runner) Run(ctx context.Context, request operations.Request, report func(operations.Operation)) (operations.Operation, error) {
	return r.run(ctx, request, report, nil)
}

// RunAll is Run for operations on several projections at the same time; it returns what came of
// each, whichever fail. Rebuilds and verifications read the log together, and share the memory that
// one is allowed. Report is called for all of them.
func (r *Runner) RunAll(ctx context.Context, requests []operations.Request, report func(operations.Operation)) ([]operations.Operation, []error) {
	ended, errs := make([]operations.Operation, len(requests)), make([]error, len(requests))
	runTogether(len(requests), func(i int, s *seat) { ended[i], errs[i] = r.run(ctx, requests[i], report, s) })
	return ended, errs
}

func (r *Runner) run(ctx context.Context, request operations.Request, report func(operations.Operation), s *seat) (operations.Operation, error) {
	id, cl, err := r.begin(ctx, request)
	if err != nil {
		return operations.Operation{}, fmt.Errorf("%s projection %q: %w", request.Kind, request.Subject, err)
	}
	stop := r.reportProgress(ctx, id, report)
	defer stop()
	var op operations.Operation
	loop := background.Loop{Idle: r.config.PollInterval}
	err = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		if op, err = r.catalog.operations.Get(ctx, id); err != nil {
			return background.Done, err
		}
		if op.State != operations.Running && report != nil {
			stop()
			report(op)
		}
		switch op.State {
		case operations.Running:
		case operations.Done:
			return background.Done, nil
		default:
			return background.Done, &operations.EndedError{Operation: op}
		}
		if cl == nil {
			cl, err = r.catalog.operations.Claim(ctx, id, r.owner, r.config.LeaseTTL)
		}
		if err == nil {
			err = r.execute(ctx, cl, s)
		}
		cl = nil
		var ended *operations.EndedError
		switch {
		case err == nil || errors.As(err, &ended):
			return background.Again, nil
		case lease.IsAway(err):
			// Another process has it: the rounds here must not wait for it, which may wait for one of these.
			s.leave()
			return background.Idle, nil
		case ctx.Err() != nil:
			return background.Done, context.Cause(ctx)
		}
		return background.Done, fmt.Errorf("%s projection %q: %w", op.Kind, op.Subject, err)
	})
	return op, err
}

// begin returns the operation that was asked for: a new one, with the claim on it, or the one that
// runs.
func (r *Runner) begin(ctx context.Context, q operations.Request) (uuid.UUID, *operations.Claim, error) {
	var known *worker
	for _, w := range r.workers {
		if w.projection.Name() == q.Subject {
			known = w
		}
	}
	if known == nil {
		return uuid.Nil, nil, ErrNotFound
	}
	q.Version = known.projection.Version()
	if err := checkRequest(q, known.projection); err != nil {
		return uuid.Nil, nil, err
	}
	if err := r.enter(ctx); err != nil {
		return uuid.Nil, nil, err
	}
	if err := r.catalog.admit(ctx, q); err != nil {
		return uuid.Nil, nil, err
	}
	cl, err := r.catalog.operations.RequestClaimed(ctx, q, r.owner, r.config.LeaseTTL)
	var busy *operations.BusyError
	if errors.As(err, &busy) && busy.Operation.Kind == q.Kind && busy.Operation.Version == q.Version &&
		!busy.Operation.Cancelling {
		return busy.Operation.ID, nil, nil
	}
	return cl.Operation.ID, cl, err
}

// reportProgress tells report how far an operation is, until the function it returns is called.
func (r *Runner) reportProgress(ctx context.Context, id uuid.UUID, report func(operations.Operation)) (stop func()) {
	if report == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if op, err := r.catalog.operations.Get(ctx, id); err == nil {
				report(op)
			}
			background.Sleep(ctx, time.Second)
		}
	}()
	return func() { cancel(); <-ended }
}

// buildSQL asks for the rebuild of generations that wait for their first rows, unless somebody
// cancelled one: then it takes a command.
const buildSQL = `
INSERT INTO {schema}.operations (id, subject, kind, version, options, generation, requested_by)
SELECT gen_random_uuid(), g.projection, 'rebuild', g.version, '{}', CASE WHEN o.state IS NULL THEN g.generation ELSE 0 END, $3
FROM {schema}.projection_generations g
JOIN unnest($1::text[], $2::int[]) AS known (projection, version) USING (projection, version)
LEFT JOIN LATERAL (
    SELECT state FROM {schema}.operations o
    WHERE o.of_projection = g.projection AND o.kind = 'rebuild' AND (o.generation = g.generation OR o.state = 'running')
    ORDER BY created_at DESC LIMIT 1
) o ON true
WHERE g.serving AND NOT g.built AND g.failed_at IS NULL AND coalesce(o.state, 'failed') = 'failed'
ON CONFLICT DO NOTHING`

// operate works on operations that nobody works on, those of one moment at the same time, until
// soft is done. What it has begun goes on elsewhere, or when the process is back.
func (r *Runner) operate(soft, _ context.Context) {
	names, versions := r.known()
	loop := background.Loop{
		Idle: r.config.PollInterval,
		Wake: r.wake,
		Failed: func(err error, pause time.Duration) {
			r.config.Logger.Warn().Err(err).Dur("again_in_ms", pause).Msg("operations are interrupted")
		},
	}
	var looked, pruned time.Time
	// The end of soft is no error.
	_ = loop.Run(soft, func(ctx context.Context) (background.Next, error) {
		if r.config.DropUnusedAfter > 0 && time.Since(looked) > min(r.config.DropUnusedAfter, time.Minute) {
			looked = time.Now()
			if err := r.dropUnused(ctx, names, versions, r.config.DropUnusedAfter); err != nil {
				return background.Idle, err
			}
		}
		if time.Since(pruned) > pruneInterval {
			pruned = time.Now()
			if err := r.catalog.pruneChanges(ctx); err != nil {
				return background.Idle, err
			}
		}
		return r.operateOnce(ctx, names, versions)
	})
}

func (r *Runner) operateOnce(ctx context.Context, names []string, versions []int) (background.Next, error) {
	built, err := r.catalog.pool.Exec(ctx, r.catalog.sql(buildSQL), names, versions, r.owner)
	if err != nil {
		return background.Idle, err
	}
	ids, err := r.claimable(ctx, names, versions)
	if err == nil && len(ids) > 0 && built.RowsAffected() == 0 {
		// A command asks for one after the other: those that follow can read the log together with it.
		// First rows, which are asked for all at once, are not waited for.
		background.Sleep(ctx, r.config.PollInterval/2)
		ids, err = r.claimable(ctx, names, versions)
	}
	if err != nil {
		return background.Idle, err
	}
	errs := make([]error, len(ids))
	runTogether(len(ids), func(i int, s *seat) {
		cl, err := r.catalog.operations.Claim(ctx, ids[i], r.owner, r.config.LeaseTTL)
		if err == nil {
			err = r.execute(ctx, cl, s)
		}
		errs[i] = err
	})
	next, failures := background.Idle, []error(nil)
	for i, err := range errs {
		var ended *operations.EndedError
		switch {
		case err == nil || errors.As(err, &ended):
			next = background.Again
		case isUnknownSchema(err):
			r.unreadable.Store(ids[i], nil)
			r.config.Logger.Warn().Err(err).Stringer("operation", ids[i]).Msg("operation needs a newer program, this one stands aside")
		case !lease.IsAway(err):
			failures = append(failures, err)
		}
	}
	return next, errors.Join(failures...)
}

// claimable returns the operations that nobody works on and that this program can read, the oldest
// first.
func (r *Runner) claimable(ctx context.Context, names []string, versions []int) ([]uuid.UUID, error) {
	ids, err := r.catalog.operations.Claimable(ctx, names, versions)
	return slices.DeleteFunc(ids, func(id uuid.UUID) bool { _, unreadable := r.unreadable.Load(id); return unreadable }), err
}
