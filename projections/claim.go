package projections

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// claim is the right to work on an operation. As with a lease, only a transaction that writes finds
// out whether it still holds.
type claim struct {
	catalog *catalog
	op      Operation
	owner   string
	ttl     time.Duration
	epoch   int64
}

const claimSQL = `
UPDATE {schema}.projection_operations
SET owner = $2, epoch = epoch + 1, lease_expires_at = clock_timestamp() + $3::interval, updated_at = clock_timestamp()
WHERE id = $1 AND state = 'running' AND ` + leaseIsFree + `
RETURNING epoch`

// claim takes an operation that nobody works on, or returns errStandby.
func (c *catalog) claim(ctx context.Context, id uuid.UUID, owner string, ttl time.Duration) (*claim, error) {
	ctx, cancel := context.WithTimeout(ctx, statementTimeout)
	defer cancel()
	cl := &claim{catalog: c, owner: owner, ttl: ttl}
	err := c.pool.QueryRow(ctx, c.sql(claimSQL), id, owner, ttl).Scan(&cl.epoch)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, errStandby
	}
	if err != nil {
		return nil, err
	}
	cl.op, err = c.operation(ctx, id)
	return cl, err
}

// holdSQL ends a transaction of a process that has lost its claim. It comes last, for the reason
// that moveSQL does.
const holdSQL = `
WITH held AS (
    UPDATE {schema}.projection_operations SET lease_expires_at = clock_timestamp() + $3::interval
    WHERE id = $1 AND epoch = $2 AND state = 'running' AND NOT cancel
    RETURNING 1
)
SELECT CASE WHEN count(*) = 0 THEN {schema}.projection_fenced() END FROM held`

func (cl *claim) hold() statement {
	return statement{cl.catalog.sql(holdSQL), []any{cl.op.ID, cl.epoch, cl.ttl}}
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

const renewClaimSQL = `
UPDATE {schema}.projection_operations
SET lease_expires_at = clock_timestamp() + $3::interval, updated_at = clock_timestamp(),
    phase = $4, position = $5, target = $6, events = $7, events_per_second = $8, seconds_left = $9,
    buckets = $10, buckets_done = $11
WHERE id = $1 AND epoch = $2 AND state = 'running'
RETURNING cancel`

// renew extends the claim and says how far the work is. If the claim is lost it returns errStandby,
// if somebody wants the end of it errCancelled.
func (cl *claim) renew(ctx context.Context, p Progress) error {
	ctx, done := context.WithTimeout(ctx, statementTimeout)
	defer done()
	var cancel bool
	err := cl.catalog.pool.QueryRow(ctx, cl.catalog.sql(renewClaimSQL), cl.op.ID, cl.epoch, cl.ttl,
		p.Phase, p.Position, p.Target, p.Events, p.EventsPerSecond, p.SecondsLeft, p.Buckets, p.BucketsDone).Scan(&cancel)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return errStandby
	case err == nil && cancel:
		return errCancelled
	}
	return err
}

// errCancelled is why work ends that somebody cancelled.
var errCancelled = errors.New("the operation was cancelled")

// keepOperations is how many operations of each kind a projection keeps that have ended. It is three
// months of one a night, and bounds what a repair in a loop, or a rebuild with its 256 buckets, leaves.
const keepOperations = 100

// finishSQL makes room as well, so that no more are kept than that. The one with the highest
// generation stays: that number is never given again.
const finishSQL = `
WITH forgotten AS (
    DELETE FROM {schema}.projection_operations o
    WHERE o.projection = $8 AND o.kind = $9 AND o.state <> 'running'
      AND o.created_at <= (
          SELECT created_at FROM {schema}.projection_operations
          WHERE projection = $8 AND kind = $9 AND state <> 'running'
          ORDER BY created_at DESC OFFSET $10 LIMIT 1)
      AND (o.generation = 0 OR o.generation < (
          SELECT max(generation) FROM {schema}.projection_operations WHERE projection = $8))
)
UPDATE {schema}.projection_operations
SET state = $3, result = $4, error = nullif($5, ''), hint = nullif($6, ''), phase = $7, seconds_left = NULL,
    owner = NULL, lease_expires_at = NULL, updated_at = clock_timestamp(), finished_at = clock_timestamp()
WHERE id = $1 AND epoch = $2 AND state = 'running'`

// finish says how the operation ended, and forgets the oldest that have.
func (cl *claim) finish(ctx context.Context, db querier, state OperationState, result any, cause error, hint string) error {
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
		reason = storable(inFull(cause))
	}
	tag, err := db.Exec(ctx, cl.catalog.sql(finishSQL), cl.op.ID, cl.epoch, state, told, reason, hint, string(state),
		cl.op.Projection, cl.op.Kind, keepOperations-1)
	if err == nil && tag.RowsAffected() == 0 {
		err = errStandby
	}
	return err
}

const releaseClaimSQL = `
UPDATE {schema}.projection_operations SET owner = NULL, lease_expires_at = NULL, updated_at = clock_timestamp()
WHERE id = $1 AND epoch = $2`

// release lets another process go on.
func (cl *claim) release(ctx context.Context) error {
	_, err := cl.catalog.pool.Exec(ctx, cl.catalog.sql(releaseClaimSQL), cl.op.ID, cl.epoch)
	return err
}
