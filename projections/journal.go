package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const operationColumns = `id, projection, kind, version, options, state, cancel, generation,
    CASE WHEN lease_expires_at >= clock_timestamp() THEN coalesce(owner, '') ELSE '' END, requested_by,
    phase, position, target, events, events_per_second, seconds_left, buckets, buckets_done,
    result, coalesce(error, ''), coalesce(hint, ''), created_at, updated_at, finished_at`

func scanOperation(row pgx.CollectableRow) (Operation, error) {
	var o Operation
	var options []byte
	var result *string
	err := row.Scan(&o.ID, &o.Projection, &o.Kind, &o.Version, &options, &o.State, &o.Cancelling, &o.Generation,
		&o.Owner, &o.RequestedBy, &o.Phase, &o.Position, &o.Target, &o.Events, &o.EventsPerSecond, &o.SecondsLeft,
		&o.Buckets, &o.BucketsDone, &result, &o.Error, &o.Hint, &o.CreatedAt, &o.UpdatedAt, &o.FinishedAt)
	if err != nil {
		return o, err
	}
	if result != nil {
		o.Result = json.RawMessage(*result)
	}
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	if o.FinishedAt != nil {
		*o.FinishedAt = o.FinishedAt.UTC()
	}
	return o, json.Unmarshal(options, &o.Options)
}

func (c *catalog) operations(ctx context.Context, where string, args ...any) ([]Operation, error) {
	rows, err := c.pool.Query(ctx, c.sql(`SELECT `+operationColumns+` FROM {schema}.projection_operations `+where), args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanOperation)
}

func (c *catalog) operation(ctx context.Context, id uuid.UUID) (Operation, error) {
	all, err := c.operations(ctx, `WHERE id = $1`, id)
	if err == nil && len(all) == 0 {
		err = ErrOperationNotFound
	}
	if err != nil {
		return Operation{}, err
	}
	return all[0], nil
}

const (
	liveVersionSQL = `
SELECT g.version FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name AND g.generation = p.live_generation
WHERE p.name = $1`

	requestSQL = `
INSERT INTO {schema}.projection_operations
    (id, projection, kind, version, options, requested_by, owner, epoch, lease_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, nullif($7, ''), 1, clock_timestamp() + $8::interval)`

	runningIndex = "projection_operations_running"
)

// request writes an operation down, for whoever claims it, or with a claim of owner, whose epoch is
// 1, so that nobody else begins it. If another one is running the error is a *BusyError; one that is
// being cancelled is waited for as cancel does.
func (c *catalog) request(ctx context.Context, r Request, owner string, ttl time.Duration) (uuid.UUID, error) {
	if err := r.Options.check(r.Kind); err != nil {
		return uuid.Nil, fmt.Errorf("%w: %w", ErrInvalidRequest, err)
	}
	id := uuid.New()
	options, err := json.Marshal(r.Options)
	if err != nil {
		return uuid.Nil, err
	}
	for {
		_, err = c.pool.Exec(ctx, c.sql(requestSQL), id, r.Projection, r.Kind, r.Version, options, storable(r.Actor), owner, ttl)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.ConstraintName != runningIndex {
			return id, err
		}
		// If nothing runs any more it has ended since, and there is room now.
		if err := c.makeRoom(ctx, r.Projection); err != nil {
			return uuid.Nil, err
		}
	}
}

// makeRoom returns nil if nothing runs on a projection any more, else a *BusyError.
func (c *catalog) makeRoom(ctx context.Context, projection string) error {
	err := c.busy(ctx, projection)
	var busy *BusyError
	if !errors.As(err, &busy) || !busy.Operation.Cancelling {
		return err
	}
	if err := c.cancel(ctx, busy.Operation.ID); err != nil {
		return err
	}
	return c.busy(ctx, projection)
}

// busy returns the *BusyError for a projection, nil if nothing runs.
func (c *catalog) busy(ctx context.Context, projection string) error {
	running, err := c.operations(ctx, `WHERE projection = $1 AND state = 'running'`, projection)
	if err != nil || len(running) == 0 {
		return err
	}
	return &BusyError{Operation: running[0]}
}

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

const finishSQL = `
UPDATE {schema}.projection_operations
SET state = $3, result = $4, error = nullif($5, ''), hint = nullif($6, ''), phase = $7, seconds_left = NULL,
    owner = NULL, lease_expires_at = NULL, updated_at = clock_timestamp(), finished_at = clock_timestamp()
WHERE id = $1 AND epoch = $2 AND state = 'running'`

// finish says how the operation ended.
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
	tag, err := db.Exec(ctx, cl.catalog.sql(finishSQL), cl.op.ID, cl.epoch, state, told, reason, hint, string(state))
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
