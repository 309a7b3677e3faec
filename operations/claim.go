package operations

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/lease"
)

// Claim is the right to work on an operation.
type Claim struct {
	lease.Lease
	Operation Operation
	records   *Records
}

func (r *Records) table() lease.Table {
	return lease.Table{Schema: r.schema, Name: "{schema}.operations", Key: []string{"id"}}
}

// Claim takes an operation that nobody works on, or returns lease.ErrTaken.
func (r *Records) Claim(ctx context.Context, id uuid.UUID, owner string, ttl time.Duration) (*Claim, error) {
	l, err := r.table().Acquire(ctx, r.pool, []any{id}, owner, ttl, lease.Clause{
		Set:   "updated_at = clock_timestamp()",
		Where: "state = 'running'",
	})
	if err != nil {
		return nil, err
	}
	o, err := r.Get(ctx, id)
	return &Claim{Lease: l, Operation: o, records: r}, err
}

// claimableSQL finds the operations that nobody works on. What is cancelled needs no program that
// has its version.
var claimableSQL = `
SELECT id FROM {schema}.operations o
JOIN unnest($2::text[], $3::int[]) AS known (subject, version)
    ON known.subject = o.subject AND (known.version = o.version OR o.cancel)
WHERE o.subject_kind = $1 AND o.state = 'running' AND ` + lease.Free + `
ORDER BY o.created_at`

// Claimable returns the operations that nobody works on, on subjects of the versions given, the
// oldest first.
func (r *Records) Claimable(ctx context.Context, subjects []string, versions []int) ([]uuid.UUID, error) {
	rows, err := r.pool.Query(ctx, r.SQL(claimableSQL), r.subjectKind, subjects, versions)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

var unclaimedSQL = `SELECT id FROM {schema}.operations WHERE subject_kind = $1 AND state = 'running' AND ` + lease.Free + ` ORDER BY created_at`

// Unclaimed returns the operations that nobody works on, whatever subject and version they are of, the oldest first.
func (r *Records) Unclaimed(ctx context.Context) ([]uuid.UUID, error) {
	rows, err := r.pool.Query(ctx, r.SQL(unclaimedSQL), r.subjectKind)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[uuid.UUID])
}

// InTx runs f in tx, which takes effect only while the claim holds.
func (c *Claim) InTx(ctx context.Context, tx pgx.Tx, f func(pgx.Tx) error) error {
	if err := f(tx); err != nil {
		return err
	}
	sql, args := c.Fence(lease.Clause{Where: "state = 'running' AND NOT cancel"})
	_, err := tx.Exec(ctx, sql, args...)
	return err
}

const setGenerationSQL = `UPDATE {schema}.operations SET generation = $2 WHERE id = $1`

// SetGeneration says, in a transaction under the claim, which generation the operation works on.
func (c *Claim) SetGeneration(ctx context.Context, tx pgx.Tx, generation int) error {
	_, err := tx.Exec(ctx, c.records.SQL(setGenerationSQL), c.Operation.ID, generation)
	if err == nil {
		c.Operation.Generation = generation
	}
	return err
}

// report extends the claim and says how far the work is. If the claim is lost it returns
// lease.ErrLost, if somebody wants the end of it ErrCancelled.
func (c *Claim) report(ctx context.Context, p Progress) error {
	var cancel bool
	err := c.Renew(ctx, c.records.pool, lease.Clause{
		Set: `updated_at = clock_timestamp(), phase = $4, position = $5, target = $6, events = $7,
    events_per_second = $8, seconds_left = $9, buckets = $10, buckets_done = $11`,
		Where:     "state = 'running'",
		Returning: "cancel",
		Args:      []any{p.Phase, p.Position, p.Target, p.Events, p.EventsPerSecond, p.SecondsLeft, p.Buckets, p.BucketsDone},
	}, &cancel)
	if err == nil && cancel {
		err = ErrCancelled
	}
	return err
}

// interrupted gives the claim back, and leaves word of why the work does not go on for now.
func (c *Claim) interrupted(ctx context.Context, trouble error) error {
	if lease.IsAway(trouble) {
		return nil
	}
	return errors.Join(c.RecordTrouble(ctx, trouble), c.Release(ctx, c.records.pool, lease.Clause{}))
}

// RecordTrouble leaves word of what keeps the work from going on; it is trying again.
func (c *Claim) RecordTrouble(ctx context.Context, trouble error) error {
	return c.Update(ctx, c.records.pool, lease.Clause{
		Set:  "trouble = $3, trouble_at = clock_timestamp()",
		Args: []any{SanitizeText(WithDetail(trouble))},
	})
}

// kept is how many operations of each kind a subject keeps that have ended. It is three months of
// one a night, and bounds what a repair in a loop, or a rebuild with its 256 buckets, leaves.
const kept = 100

// forgetSQL removes the oldest that have ended. The one with the highest generation stays: that
// number is never given again.
const forgetSQL = `
DELETE FROM {schema}.operations o
WHERE o.subject_kind = $1 AND o.subject = $2 AND o.kind = $3 AND o.state <> 'running'
  AND o.created_at <= (
      SELECT created_at FROM {schema}.operations
      WHERE subject_kind = $1 AND subject = $2 AND kind = $3 AND state <> 'running'
      ORDER BY created_at DESC OFFSET $4 LIMIT 1)
  AND (o.generation = 0 OR o.generation < (
      SELECT max(generation) FROM {schema}.operations WHERE subject_kind = $1 AND subject = $2))`

// finish says how the operation ended, and forgets the oldest that have.
func (c *Claim) finish(ctx context.Context, state State, result any, cause error, reason Reason) error {
	var told *string
	if result != nil {
		b, err := json.Marshal(result)
		if err != nil {
			return err
		}
		text := string(b)
		told = &text
	}
	failure := ""
	if cause != nil {
		failure = SanitizeText(WithDetail(cause))
	}
	err := c.Update(ctx, c.records.pool, lease.Clause{
		Set: `state = $3, result = $4, error = nullif($5, ''), hint = nullif($6, ''), phase = $7, seconds_left = NULL,
    trouble = NULL, trouble_at = NULL, updated_at = clock_timestamp(), finished_at = clock_timestamp(), ` + lease.Clear,
		Where: "state = 'running'",
		Args:  []any{state, told, failure, reason, string(state)},
	})
	if err != nil {
		return err
	}
	// It has ended, whatever becomes of this: the next one that ends forgets them.
	_, _ = c.records.pool.Exec(ctx, c.records.SQL(forgetSQL), c.records.subjectKind, c.Operation.Subject, c.Operation.Kind, kept)
	return nil
}
