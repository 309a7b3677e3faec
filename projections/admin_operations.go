package projections

import (
	"cmp"
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

// Request asks for an operation, which a process that runs the projection begins within a second,
// and returns it.
//
// Errors: ErrNotFound, operations.ErrInvalid, *operations.BusyError.
func (a *Admin) Request(ctx context.Context, r operations.Request) (operations.Operation, error) {
	op, err := a.request(ctx, r)
	if err != nil {
		return op, fmt.Errorf("%s projection %q: %w", r.Kind, r.Subject, err)
	}
	return op, nil
}

func (a *Admin) request(ctx context.Context, r operations.Request) (operations.Operation, error) {
	if err := a.catalog.check(ctx, a.catalog.pool, r.Subject); err != nil {
		return operations.Operation{}, err
	}
	for _, p := range a.known {
		if p.Name() != r.Subject {
			continue
		}
		if err := checkRequest(r, p); err != nil {
			return operations.Operation{}, err
		}
		r.Version = cmp.Or(r.Version, p.Version())
	}
	if r.Version == 0 {
		err := a.catalog.pool.QueryRow(ctx, a.catalog.sql(liveVersionSQL), r.Subject).Scan(&r.Version)
		if err != nil {
			return operations.Operation{}, notFound(err)
		}
	}
	if err := a.catalog.admit(ctx, r); err != nil {
		return operations.Operation{}, err
	}
	id, err := a.catalog.operations.Request(ctx, r)
	if err != nil {
		return operations.Operation{}, err
	}
	return a.catalog.operations.Get(ctx, id)
}

// Operation returns an operation, or an error that matches operations.ErrNotFound. Of those that
// have ended, the last hundred of each kind are kept for each projection.
func (a *Admin) Operation(ctx context.Context, id uuid.UUID) (operations.Operation, error) {
	op, err := a.catalog.operations.Get(ctx, id)
	if err == nil {
		err = a.catalog.check(ctx, a.catalog.pool, op.Subject)
	}
	if err != nil {
		return operations.Operation{}, fmt.Errorf("operation %s: %w", id, err)
	}
	return op, nil
}

// Operations returns the last ten operations on a projection, the newest first.
func (a *Admin) Operations(ctx context.Context, projection string) ([]operations.Operation, error) {
	all, err := a.catalog.operations.Latest(ctx, projection)
	if err == nil {
		err = a.catalog.check(ctx, a.catalog.pool, projection)
	}
	if err != nil {
		return nil, fmt.Errorf("list operations on projection %q: %w", projection, err)
	}
	return all, nil
}

// Details returns all about a projection, or an error that matches ErrNotFound.
func (a *Admin) Details(ctx context.Context, projection string) (d Details, err error) {
	d.Name = projection
	if d.Generations, err = a.Show(ctx, projection); err != nil {
		return d, err
	}
	if d.Skips, err = a.Skips(ctx, projection); err != nil {
		return d, err
	}
	d.Operations, err = a.Operations(ctx, projection)
	return d, err
}

const ownedSQL = `SELECT name FROM {schema}.projections p WHERE ` + owned

// LastOperations returns the last operation of each kind on each projection of the App, ordered by
// projection and kind.
func (a *Admin) LastOperations(ctx context.Context) ([]operations.Operation, error) {
	var own []string
	rows, err := a.catalog.pool.Query(ctx, a.catalog.sql(ownedSQL), a.catalog.app, a.names())
	if err == nil {
		own, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	var all []operations.Operation
	if err == nil {
		all, err = a.catalog.operations.LatestOfEach(ctx, own)
	}
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	return all, nil
}

// Cancel ends an operation and returns it. The process that works on it takes back what it has
// built and then says that it is cancelled; where none does, that is done here, as soon as the
// claim of one that died has expired. One that works on still has Cancelling set: it ends at its
// next look. Cancelling one that has ended is no error and changes nothing.
//
// Errors: operations.ErrNotFound, those of the database.
func (a *Admin) Cancel(ctx context.Context, id uuid.UUID) (operations.Operation, error) {
	if op, err := a.Operation(ctx, id); err != nil {
		return op, err
	}
	if err := a.catalog.operations.Cancel(ctx, id); err != nil {
		return operations.Operation{}, fmt.Errorf("cancel operation %s: %w", id, err)
	}
	return a.Operation(ctx, id)
}
