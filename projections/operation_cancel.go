package projections

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/lease"
)

const (
	// cancelTTL is how long whoever ends a cancelled operation has for it.
	cancelTTL = 10 * time.Second
	// cancelMargin is how much longer than its claim an operation that is being cancelled is waited for,
	// so that whoever claims it first has the time to end it.
	cancelMargin = 2 * time.Second
	cancelPoll   = 50 * time.Millisecond
)

// cancelSQL leaves the wish for the end of an operation. A claim that is not to be believed, see
// lease.Free, is not waited for.
var cancelSQL = `
UPDATE {schema}.projection_operations SET cancel = true, updated_at = clock_timestamp()
WHERE id = $1 AND state = 'running'
RETURNING CASE WHEN ` + lease.Free + ` THEN 0 ELSE extract(epoch FROM lease_expires_at - clock_timestamp())::float8 END`

// cancel asks for the end of an operation, if it runs, and waits for it a little longer than a process
// that died could have kept it. One that works on sees the wish when it renews its claim.
//
// It must not be left at the wish: none may ever work on the operation again, its version of the
// projection may be one that no program has any more, and it keeps all others from the projection.
func (c *catalog) cancel(ctx context.Context, id uuid.UUID) error {
	claimed, err := c.requestCancel(ctx, id)
	if err != nil {
		return err
	}
	wait, done := context.WithTimeout(ctx, claimed+cancelMargin)
	defer done()
	for wait.Err() == nil {
		if op, err := c.operation(ctx, id); err != nil || op.State != OperationRunning {
			return err
		}
		if err := c.endCancelled(ctx, id); !errors.Is(err, lease.ErrTaken) {
			return err
		}
		background.Sleep(wait, cancelPoll)
	}
	return ctx.Err()
}

// requestCancel leaves the wish for the end of an operation, and returns how much longer the claim on it
// holds if nobody renews it.
func (c *catalog) requestCancel(ctx context.Context, id uuid.UUID) (time.Duration, error) {
	var seconds float64
	err := c.pool.QueryRow(ctx, c.sql(cancelSQL), id).Scan(&seconds)
	if isNoRows(err) {
		return 0, nil // it has ended
	}
	return time.Duration(seconds * float64(time.Second)), err
}

// endCancelled ends an operation that no process works on, or returns lease.ErrTaken.
func (c *catalog) endCancelled(ctx context.Context, id uuid.UUID) error {
	cl, err := c.claim(ctx, id, "cancel "+id.String(), cancelTTL)
	if err != nil {
		return err
	}
	return cl.endCancelled(ctx)
}

// endCancelled takes back what the operation has built and says that it was cancelled.
func (cl *claim) endCancelled(ctx context.Context) error {
	within, done := context.WithTimeout(ctx, cancelTTL)
	defer done()
	err := cl.discard(within, OperationCancelled, errCancelled)
	if err == nil {
		err = cl.finish(within, OperationCancelled, nil, errCancelled, "")
	}
	if err == nil || lease.IsAway(err) {
		return err
	}
	release, done := context.WithTimeout(context.WithoutCancel(ctx), statementTimeout)
	defer done()
	return errors.Join(err, cl.Release(release, cl.catalog.pool))
}
