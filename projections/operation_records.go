package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/internal/lease"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var operationColumns = `id, projection, kind, version, options, state, cancel, generation,
    ` + lease.Owner + `, requested_by,
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
		return uuid.Nil, err
	}
	if r.Kind == Rollback {
		if err := c.pool.QueryRow(ctx, c.sql(retiredSQL), r.Projection, r.Version).Scan(new(int)); isNoRows(err) {
			return uuid.Nil, fmt.Errorf("%w: %w", ErrInvalidRequest, noGeneration(r.Version))
		} else if err != nil {
			return uuid.Nil, err
		}
	}
	id := uuid.New()
	options, err := json.Marshal(r.Options)
	if err != nil {
		return uuid.Nil, err
	}
	for {
		_, err = c.pool.Exec(ctx, c.sql(requestSQL), id, r.Projection, r.Kind, r.Version, string(options), sanitizeText(r.Actor), owner, ttl)
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
