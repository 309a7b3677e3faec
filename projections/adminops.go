package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Request asks for an operation, which a process that runs the projection begins within a second,
// and returns it.
//
// Errors: ErrNotFound, ErrInvalidRequest, *BusyError.
func (a *Admin) Request(ctx context.Context, r Request) (Operation, error) {
	op, err := a.request(ctx, r)
	if err != nil {
		return op, fmt.Errorf("%s projection %q: %w", r.Kind, r.Projection, err)
	}
	return op, nil
}

func (a *Admin) request(ctx context.Context, r Request) (Operation, error) {
	if r.Version == 0 {
		err := a.catalog.pool.QueryRow(ctx, a.catalog.sql(liveVersionSQL), r.Projection).Scan(&r.Version)
		if err != nil {
			return Operation{}, notFound(err)
		}
	} else if err := a.catalog.register(ctx, r); err != nil {
		return Operation{}, err
	}
	id, err := a.catalog.request(ctx, r, "", 0)
	if err != nil {
		return Operation{}, err
	}
	return a.catalog.operation(ctx, id)
}

// Operation returns an operation, or an error that matches ErrOperationNotFound.
func (a *Admin) Operation(ctx context.Context, id uuid.UUID) (Operation, error) {
	op, err := a.catalog.operation(ctx, id)
	if err != nil {
		return op, fmt.Errorf("operation %s: %w", id, err)
	}
	return op, nil
}

// Operations returns the last ten operations on a projection, the newest first.
func (a *Admin) Operations(ctx context.Context, projection string) ([]Operation, error) {
	all, err := a.catalog.operations(ctx, `WHERE projection = $1 ORDER BY created_at DESC LIMIT 10`, projection)
	if err != nil {
		return nil, fmt.Errorf("list operations on projection %q: %w", projection, err)
	}
	return all, nil
}

// LastOperations returns the last operation of each kind on each projection, ordered by projection and
// kind.
func (a *Admin) LastOperations(ctx context.Context) ([]Operation, error) {
	all, err := a.catalog.operations(ctx, `
WHERE id IN (SELECT DISTINCT ON (projection, kind) id FROM {schema}.projection_operations ORDER BY projection, kind, created_at DESC)
ORDER BY projection, kind`)
	if err != nil {
		return nil, fmt.Errorf("list operations: %w", err)
	}
	return all, nil
}

const cancelSQL = `
UPDATE {schema}.projection_operations SET cancel = true, updated_at = clock_timestamp()
WHERE id = $1 AND state = 'running'`

// Cancel asks for the end of an operation and returns it. The process that works on it takes back
// what it has built and then says that it is cancelled; where none does that is done here. Cancelling
// one that has ended is no error and changes nothing.
func (a *Admin) Cancel(ctx context.Context, id uuid.UUID) (Operation, error) {
	_, err := a.catalog.pool.Exec(ctx, a.catalog.sql(cancelSQL), id)
	if err == nil {
		err = a.catalog.cancelAbandoned(ctx, id)
	}
	if err != nil {
		return Operation{}, fmt.Errorf("cancel operation %s: %w", id, err)
	}
	return a.Operation(ctx, id)
}

// cancelTTL is how long whoever cancels an operation has for it.
const cancelTTL = 10 * time.Second

// cancelAbandoned ends an operation that no process works on. None may ever: its version of the
// projection may be one that no program has any more, and it keeps all others from the projection.
func (c *catalog) cancelAbandoned(ctx context.Context, id uuid.UUID) error {
	ctx, cancel := context.WithTimeout(ctx, cancelTTL)
	defer cancel()
	cl, err := c.claim(ctx, id, "cancel "+id.String(), cancelTTL)
	if errors.Is(err, errStandby) {
		return nil // it has ended, or is somebody's
	}
	if err != nil {
		return err
	}
	if err := cl.discard(ctx, OperationCancelled, errCancelled); err != nil {
		return errors.Join(err, cl.release(ctx))
	}
	return cl.finish(ctx, c.pool, OperationCancelled, nil, errCancelled, "")
}
