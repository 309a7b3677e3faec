package projections

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/operations"
)

// Admin is for operators: it shows and steers the projections of a database, whichever processes
// run them. What it changes takes effect within a second.
type Admin struct {
	catalog *catalog
	log     eventstore.Reader
	known   []Projection
}

// NewAdmin returns access to the projections in a schema ("" is recount) of a log. Known are those of
// this program: a request for one is for its version, and is refused if it cannot be done with it.
func NewAdmin(pool *pgxpool.Pool, schema string, log eventstore.Reader, known ...Projection) *Admin {
	if schema == "" {
		schema = pgsql.DefaultSchema
	}
	return &Admin{catalog: newCatalog(pool, schema, nil), log: log, known: known}
}

// WithHints returns a with the words of the program for failures.
func (a *Admin) WithHints(hints operations.Hints) *Admin {
	return (&Admin{newCatalog(a.catalog.pool, a.catalog.schema, hints), a.log, a.known}).ForApp(a.catalog.app)
}

var statusSQL = `
SELECT g.projection, g.generation, g.version, g.generation = p.live_generation, g.serving, NOT g.built,
       g.retired_at IS NOT NULL, g.position < g.target, g.table_name,
       ` + lease.Owner + `,
       g.log_id, g.incarnation, g.position, g.events, g.digest, g.last_event_at,
       g.failed_at, coalesce(g.failed_position, 0), g.failed_event_id, coalesce(g.failed_type, ''),
       coalesce(g.failed_stream, ''), coalesce(g.failure, ''), coalesce(g.failure_hint, ''),
       g.trouble, g.trouble_at, g.unreadable, g.unreadable_at, p.desired = 'paused', clock_timestamp()
FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE ` + owned + ` AND ($3 = '' OR p.name = $3)
ORDER BY g.projection, g.generation`

// List returns the status of all generations of all projections of the App, ordered by name and
// generation.
func (a *Admin) List(ctx context.Context) ([]Status, error) {
	return a.status(ctx, "")
}

// Show returns the status of all generations of a projection, the oldest first, or an error that
// matches ErrNotFound.
func (a *Admin) Show(ctx context.Context, projection string) ([]Status, error) {
	all, err := a.status(ctx, projection)
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("projection %q: %w", projection, ErrNotFound)
	}
	return all, err
}

func (a *Admin) status(ctx context.Context, projection string) ([]Status, error) {
	names := append(a.names(), projection)
	if err := a.catalog.check(ctx, a.catalog.pool, projection); err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	rows, err := a.catalog.pool.Query(ctx, a.catalog.sql(statusSQL), a.catalog.app, names, projection)
	if err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanStatus)
	if err != nil {
		return nil, fmt.Errorf("list projections: %w", err)
	}
	// The head after the checkpoints, so that nobody seems to be ahead of it.
	head, err := a.log.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	all := make([]Status, len(found))
	for i, f := range found {
		if err := a.measure(ctx, &f.Status, head, f.now); err != nil {
			return nil, fmt.Errorf("read the log: %w", err)
		}
		f.setState(f.paused)
		if f.Failure != nil {
			f.Failure.Hint = a.catalog.operations.Hint(f.Failure.Reason, f.Projection)
		}
		for _, p := range a.known {
			if p.Name() == f.Projection {
				f.Known, f.ReadHere = true, f.Current && p.Version() == f.Version
			}
		}
		all[i] = f.Status
	}
	return all, nil
}

// foundStatus is a status with what it needs to be finished.
type foundStatus struct {
	Status
	paused bool
	now    time.Time
}

func scanStatus(row pgx.CollectableRow) (foundStatus, error) {
	var s foundStatus
	var f operations.Failure
	var failedAt, troubleAt, unreadableAt *time.Time
	var eventID *uuid.UUID
	var trouble, unreadable *string
	err := row.Scan(&s.Projection, &s.Generation, &s.Version, &s.InView, &s.Current, &s.copying, &s.retired, &s.Building, &s.Table, &s.Owner,
		&s.Checkpoint.Log, &s.Checkpoint.Incarnation, &s.Position, &s.Events, &s.Digest, &s.LastEventAt,
		&failedAt, &f.Position, &eventID, &f.Type, &f.Stream, &f.Error, &f.Reason,
		&trouble, &troubleAt, &unreadable, &unreadableAt, &s.paused, &s.now)
	if err != nil {
		return s, err
	}
	s.Checkpoint.Position = s.Position
	if s.LastEventAt != nil {
		*s.LastEventAt = s.LastEventAt.UTC()
	}
	if failedAt != nil {
		f.At = failedAt.UTC()
		if eventID != nil {
			f.EventID = *eventID
		}
		s.Failure = &f
	}
	if trouble != nil {
		s.Trouble = &operations.Trouble{Error: *trouble, At: troubleAt.UTC()}
	}
	if unreadable != nil {
		s.Unreadable = &operations.Trouble{Error: *unreadable, At: unreadableAt.UTC()}
	}
	return s, nil
}

// measure says how far a status is behind the head.
func (a *Admin) measure(ctx context.Context, s *Status, head eventstore.Token, now time.Time) error {
	s.LagEvents = max(head.Position-s.Position, 0)
	if s.LagEvents == 0 {
		return nil
	}
	for next, err := range a.log.ReadAll(ctx, eventstore.ReadOptions{From: s.Position + 1, Limit: 1}) {
		if err != nil {
			return err
		}
		s.Lag = max(now.Sub(next.RecordedAt), 0)
		s.LagSeconds = s.Lag.Seconds()
	}
	return nil
}

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
	all, err := a.catalog.operations.Latest(ctx, projection, 10)
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
	if d.Audit, err = a.Audit(ctx, projection); err != nil {
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
