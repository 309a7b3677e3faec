package operations

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/lease"
)

const (
	// cancelTTL is how long whoever ends a cancelled operation has for it.
	cancelTTL = 10 * time.Second
	// cancelMargin is how much longer than its claim an operation that is being cancelled is waited
	// for, so that whoever claims it first has the time to end it.
	cancelMargin = 2 * time.Second
	cancelPoll   = 50 * time.Millisecond
	// releaseTimeout bounds how long it takes to give a claim back.
	releaseTimeout = 5 * time.Second
)

// cancelSQL leaves the wish for the end of an operation. A claim that is not to be believed, see
// lease.Free, is not waited for.
var cancelSQL = `
UPDATE {schema}.operations SET cancel = true, updated_at = clock_timestamp()
WHERE id = $1 AND subject_kind = $2 AND state = 'running'
RETURNING CASE WHEN ` + lease.Free + ` THEN 0 ELSE extract(epoch FROM lease_expires_at - clock_timestamp())::float8 END`

// Cancel asks for the end of an operation, if it runs, and waits for it a little longer than a
// process that died could have kept it. One that works on sees the wish when it renews its claim.
// The error is ErrNotFound if there is no such operation.
//
// It must not be left at the wish: none may ever work on the operation again, its version of the
// subject may be one that no program has any more, and it keeps all others from the subject.
func (r *Records) Cancel(ctx context.Context, id uuid.UUID) error {
	claimed, err := r.RequestCancel(ctx, id)
	if err != nil {
		return err
	}
	wait, done := context.WithTimeout(ctx, claimed+cancelMargin)
	defer done()
	for wait.Err() == nil {
		if o, err := r.Get(ctx, id); err != nil || o.State != Running {
			return err
		}
		if err := r.endCancelled(ctx, id); !errors.Is(err, lease.ErrTaken) {
			return err
		}
		background.Sleep(wait, cancelPoll)
	}
	return ctx.Err()
}

// RequestCancel leaves the wish for the end of an operation, and returns how much longer the claim
// on it holds if nobody renews it.
func (r *Records) RequestCancel(ctx context.Context, id uuid.UUID) (time.Duration, error) {
	return r.RequestCancelIn(ctx, r.pool, id)
}

// RequestCancelIn is RequestCancel in a transaction of the caller's.
func (r *Records) RequestCancelIn(ctx context.Context, db lease.DB, id uuid.UUID) (time.Duration, error) {
	var seconds float64
	err := db.QueryRow(ctx, r.SQL(cancelSQL), id, r.subjectKind).Scan(&seconds)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil // it has ended
	}
	return time.Duration(seconds * float64(time.Second)), err
}

// endCancelled ends an operation that no process works on, or returns lease.ErrTaken.
func (r *Records) endCancelled(ctx context.Context, id uuid.UUID) error {
	c, err := r.Claim(ctx, id, "cancel "+id.String(), cancelTTL)
	if err != nil {
		return err
	}
	return c.endCancelled(ctx)
}

// endCancelled takes back what the operation has built and says that it was cancelled.
func (c *Claim) endCancelled(ctx context.Context) error {
	within, done := context.WithTimeout(ctx, cancelTTL)
	defer done()
	err := c.records.discard(within, c, Cancelled, ErrCancelled)
	if err == nil {
		err = c.finish(within, Cancelled, nil, ErrCancelled, "")
	}
	if err == nil || lease.IsAway(err) {
		return err
	}
	return errors.Join(err, c.giveBack(ctx))
}

// giveBack lets another process go on, also when ctx has ended.
func (c *Claim) giveBack(ctx context.Context) error {
	ctx, done := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
	defer done()
	return c.Release(ctx, c.records.pool, lease.Clause{})
}
