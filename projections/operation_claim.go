package projections

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/lease"
)

// claim is the right to work on an operation.
type claim struct {
	lease.Lease
	catalog *catalog
	op      Operation
}

func (c *catalog) operationTable() lease.Table {
	return lease.Table{SQL: c.sql, Name: "{schema}.projection_operations", Key: []string{"id"}}
}

// claim takes an operation that nobody works on, or returns lease.ErrTaken.
func (c *catalog) claim(ctx context.Context, id uuid.UUID, owner string, ttl time.Duration) (*claim, error) {
	l, err := c.operationTable().Acquire(ctx, c.pool, []any{id}, owner, ttl, lease.Clause{
		Set:   "updated_at = clock_timestamp()",
		Where: "state = 'running'",
	})
	if err != nil {
		return nil, err
	}
	op, err := c.operation(ctx, id)
	return &claim{Lease: l, catalog: c, op: op}, err
}

// inTx runs f in a transaction that takes effect only while the claim holds.
func (cl *claim) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return cl.catalog.inTx(ctx, func(tx pgx.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		hold := cl.hold()
		_, err := tx.Exec(ctx, hold.sql, hold.args...)
		return err
	})
}

// hold ends a transaction of a process that has lost its claim.
func (cl *claim) hold() statement {
	sql, args := cl.Fence(lease.Clause{Where: "state = 'running' AND NOT cancel"})
	return statement{sql, args}
}

// renew extends the claim and says how far the work is. If the claim is lost it returns lease.ErrLost,
// if somebody wants the end of it errCancelled.
func (cl *claim) renew(ctx context.Context, p Progress) error {
	var cancel bool
	err := cl.Renew(ctx, cl.catalog.pool, lease.Clause{
		Set: `updated_at = clock_timestamp(), phase = $4, position = $5, target = $6, events = $7,
    events_per_second = $8, seconds_left = $9, buckets = $10, buckets_done = $11`,
		Where:     "state = 'running'",
		Returning: "cancel",
		Args:      []any{p.Phase, p.Position, p.Target, p.Events, p.EventsPerSecond, p.SecondsLeft, p.Buckets, p.BucketsDone},
	}, &cancel)
	if err == nil && cancel {
		err = errCancelled
	}
	return err
}

// errCancelled is why work ends that somebody cancelled.
var errCancelled = errors.New("the operation was cancelled")

// keepOperations is how many operations of each kind a projection keeps that have ended. It is three
// months of one a night, and bounds what a repair in a loop, or a rebuild with its 256 buckets, leaves.
const keepOperations = 100

// forgetSQL removes the oldest that have ended. The one with the highest generation stays: that number
// is never given again.
const forgetSQL = `
DELETE FROM {schema}.projection_operations o
WHERE o.projection = $1 AND o.kind = $2 AND o.state <> 'running'
  AND o.created_at <= (
      SELECT created_at FROM {schema}.projection_operations
      WHERE projection = $1 AND kind = $2 AND state <> 'running'
      ORDER BY created_at DESC OFFSET $3 LIMIT 1)
  AND (o.generation = 0 OR o.generation < (
      SELECT max(generation) FROM {schema}.projection_operations WHERE projection = $1))`

// finish says how the operation ended, and forgets the oldest that have.
func (cl *claim) finish(ctx context.Context, state OperationState, result any, cause error, hint string) error {
	var told *string
	if result != nil {
		b, err := json.Marshal(result)
		if err != nil {
			return err
		}
		text := string(b)
		told = &text
	}
	reason := ""
	if cause != nil {
		reason = sanitizeText(withDetail(cause))
	}
	err := cl.Update(ctx, cl.catalog.pool, lease.Clause{
		Set: `state = $3, result = $4, error = nullif($5, ''), hint = nullif($6, ''), phase = $7, seconds_left = NULL,
    updated_at = clock_timestamp(), finished_at = clock_timestamp(), ` + lease.Clear,
		Where: "state = 'running'",
		Args:  []any{state, told, reason, hint, string(state)},
	})
	if err != nil {
		return err
	}
	_, err = cl.catalog.pool.Exec(ctx, cl.catalog.sql(forgetSQL), cl.op.Projection, cl.op.Kind, keepOperations)
	return err
}
