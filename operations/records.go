package operations

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsql"
)

// Records are the operations on subjects of one kind, in the database.
type Records struct {
	pool        *pgxpool.Pool
	schema      string
	subjectKind string
	discard     Discard
	hints       Hints
}

// Discard takes back what an operation has built that has failed, or was cancelled.
type Discard func(ctx context.Context, c *Claim, state State, cause error) error

// NewRecords returns the operations on subjects of a kind, in the tables of a schema. Hints may be
// nil.
func NewRecords(pool *pgxpool.Pool, schema, subjectKind string, discard Discard, hints Hints) *Records {
	return &Records{pool: pool, schema: schema, subjectKind: subjectKind, discard: discard, hints: hints}
}

// Hint returns the words for the reason of a failure of a subject; "" if the program gave none.
func (r *Records) Hint(reason Reason, subject string) string {
	if r.hints == nil {
		return ""
	}
	return r.hints(string(reason), subject, r.schema)
}

// SQL returns the text of a statement with the schema's name in it.
func (r *Records) SQL(text string) string { return pgsql.In(r.schema, text) }

var columns = `id, subject_kind, subject, kind, version, options, state, cancel, generation,
    ` + lease.Owner + `, requested_by,
    phase, position, target, events, events_per_second, seconds_left, buckets, buckets_done,
    trouble, trouble_at, result, coalesce(error, ''), coalesce(hint, ''), created_at, updated_at, finished_at`

func scan(row pgx.CollectableRow) (Operation, error) {
	var o Operation
	var options []byte
	var result, trouble *string
	var troubleAt *time.Time
	err := row.Scan(&o.ID, &o.SubjectKind, &o.Subject, &o.Kind, &o.Version, &options, &o.State, &o.Cancelling, &o.Generation,
		&o.Owner, &o.RequestedBy, &o.Phase, &o.Position, &o.Target, &o.Events, &o.EventsPerSecond, &o.SecondsLeft,
		&o.Buckets, &o.BucketsDone, &trouble, &troubleAt, &result, &o.Error, &o.Reason, &o.CreatedAt, &o.UpdatedAt, &o.FinishedAt)
	if err != nil {
		return o, err
	}
	if trouble != nil {
		o.Trouble = &Trouble{Error: *trouble, At: troubleAt.UTC()}
	}
	if result != nil {
		o.Result = json.RawMessage(*result)
	}
	o.CreatedAt, o.UpdatedAt = o.CreatedAt.UTC(), o.UpdatedAt.UTC()
	if o.FinishedAt != nil {
		*o.FinishedAt = o.FinishedAt.UTC()
	}
	stored := storedOptions{}
	err = json.Unmarshal(options, &stored)
	o.Options, o.Detail = stored.Options, stored.Detail
	return o, err
}

// storedOptions is what the column options has.
type storedOptions struct {
	Options
	Detail json.RawMessage `json:"detail,omitempty"`
}

// list returns the operations that meet a condition whose parameters begin at $2.
func (r *Records) list(ctx context.Context, where string, args ...any) ([]Operation, error) {
	return r.listIn(ctx, r.pool, where, args...)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

func (r *Records) listIn(ctx context.Context, db querier, where string, args ...any) ([]Operation, error) {
	rows, err := db.Query(ctx, r.SQL(`SELECT `+columns+` FROM {schema}.operations WHERE subject_kind = $1 AND `+where),
		append([]any{r.subjectKind}, args...)...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, scan)
	for i := range all {
		all[i].Hint = r.Hint(all[i].Reason, all[i].Subject)
	}
	return all, err
}

// Get returns an operation, or ErrNotFound.
func (r *Records) Get(ctx context.Context, id uuid.UUID) (Operation, error) {
	all, err := r.list(ctx, `id = $2`, id)
	if err == nil && len(all) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Operation{}, err
	}
	return all[0], nil
}

// Latest returns the last operations on a subject, the newest first, at most limit.
func (r *Records) Latest(ctx context.Context, subject string, limit int) ([]Operation, error) {
	return r.list(ctx, `subject = $2 ORDER BY created_at DESC LIMIT $3`, subject, limit)
}

// LatestOfEach returns the last operation of each kind on each of the subjects, ordered by subject
// and kind.
func (r *Records) LatestOfEach(ctx context.Context, subjects []string) ([]Operation, error) {
	return r.list(ctx, `id IN (
    SELECT DISTINCT ON (subject, kind) id FROM {schema}.operations WHERE subject_kind = $1 AND subject = ANY($2)
    ORDER BY subject, kind, created_at DESC)
ORDER BY subject, kind`, subjects)
}

const (
	requestSQL = `
INSERT INTO {schema}.operations
    (id, subject_kind, subject, kind, version, options, requested_by, owner, epoch, lease_expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''), 1, clock_timestamp() + $9::interval)`

	// runningIndex admits one operation at a time on a subject.
	runningIndex = "projection_operations_running"
)

// Request writes an operation down, for whoever claims it. If another one is running the error is a
// *BusyError; one that is being cancelled is waited for as Cancel does.
func (r *Records) Request(ctx context.Context, q Request) (uuid.UUID, error) {
	c, err := r.RequestClaimed(ctx, q, "", 0)
	return c.Operation.ID, err
}

// RequestClaimed is Request with a claim of owner, so that nobody else begins the operation.
func (r *Records) RequestClaimed(ctx context.Context, q Request, owner string, ttl time.Duration) (*Claim, error) {
	c := &Claim{records: r, Operation: r.asked(q)}
	c.Lease = lease.Lease{Table: r.table(), Key: []any{c.Operation.ID}, Owner: owner, TTL: ttl, Epoch: 1}
	for {
		err := r.insert(ctx, r.pool, &c.Operation, owner, ttl)
		var refused *pgconn.PgError
		if !errors.As(err, &refused) || refused.ConstraintName != runningIndex {
			return c, err
		}
		// If nothing runs any more it has ended since, and there is room now.
		if err := r.makeRoom(ctx, q.Subject); err != nil {
			return c, err
		}
	}
}

// asked returns the operation that is asked for.
func (r *Records) asked(q Request) Operation {
	q.Options.Reason = SanitizeText(q.Options.Reason)
	return Operation{
		ID: uuid.New(), SubjectKind: r.subjectKind, Subject: q.Subject, Kind: q.Kind, Version: q.Version, Options: q.Options, Detail: q.Detail,
		State: Running, RequestedBy: SanitizeText(q.Actor),
	}
}

func (r *Records) insert(ctx context.Context, db lease.DB, o *Operation, owner string, ttl time.Duration) error {
	if err := o.Options.check(); err != nil {
		return err
	}
	options, err := json.Marshal(storedOptions{o.Options, o.Detail})
	if err != nil {
		return err
	}
	_, err = db.Exec(ctx, r.SQL(requestSQL), o.ID, r.subjectKind, o.Subject, o.Kind, o.Version, string(options), o.RequestedBy, owner, ttl)
	return err
}

// RequestIn is Request in a transaction of the caller's, who keeps others from asking for one on the subject meanwhile. The
// error is a *BusyError for one that is being cancelled too.
func (r *Records) RequestIn(ctx context.Context, tx pgx.Tx, q Request) (Operation, error) {
	o := r.asked(q)
	if err := r.busyIn(ctx, tx, q.Subject); err != nil {
		return o, err
	}
	return o, r.insert(ctx, tx, &o, "", 0)
}

// makeRoom returns nil if nothing runs on a subject any more, else a *BusyError.
func (r *Records) makeRoom(ctx context.Context, subject string) error {
	err := r.busy(ctx, subject)
	var busy *BusyError
	if !errors.As(err, &busy) || !busy.Operation.Cancelling {
		return err
	}
	if err := r.Cancel(ctx, busy.Operation.ID); err != nil {
		return err
	}
	return r.busy(ctx, subject)
}

// busy returns the *BusyError for a subject, nil if nothing runs.
func (r *Records) busy(ctx context.Context, subject string) error {
	return r.busyIn(ctx, r.pool, subject)
}

func (r *Records) busyIn(ctx context.Context, db querier, subject string) error {
	running, err := r.listIn(ctx, db, `subject = $2 AND state = 'running'`, subject)
	if err != nil || len(running) == 0 {
		return err
	}
	reason := "operation-running"
	if running[0].Cancelling {
		reason = "operation-ending"
	}
	return eventstore.WithReason(&BusyError{Operation: running[0]}, reason, running[0].ID.String(), r.schema)
}

// SanitizeText returns text as a text column takes it.
func SanitizeText(s string) string {
	const limit = 4000
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "?"), "\x00", "?")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "") + "…"
	}
	return s
}

// WithDetail returns an error with the detail that the server gives apart from it.
func WithDetail(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Detail != "" {
		return fmt.Sprintf("%v: %s", err, refused.Detail)
	}
	return err.Error()
}
