package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

// Admin is for operators: it makes, shows and steers the subscriptions of a database, whichever processes deliver. What
// it changes takes effect within a second.
type Admin struct {
	records *records
	log     eventstore.Reader
	hints   operations.Hints
	// codec knows the types of the program, whose streams are of categories; nil: it is not known.
	codec      *eventstore.Codec
	categories []string
	searched   int64 // searchedByID, but in tests
	lookups    lookups
}

// NewAdmin returns access to the subscriptions of an App in a schema ("" is recount) to a log. An App that has no name
// has access to those of all.
func NewAdmin(pool *pgxpool.Pool, schema string, log eventstore.Reader, app string) *Admin {
	if schema == "" {
		schema = pgsql.DefaultSchema
	}
	return &Admin{records: &records{pool: pool, schema: schema, app: app}, log: log, searched: searchedByID,
		lookups: lookups{rows: projections.NewLookup(pool, schema)}}
}

// WithHints returns a with the words of the program for failures.
func (a *Admin) WithHints(hints operations.Hints) *Admin {
	b := *a
	b.hints = hints
	return &b
}

// WithCodec returns a that knows the events of the program, and of which categories its streams are: Resubmit then appends
// none unasked that it cannot read, or that it has had.
func (a *Admin) WithCodec(codec *eventstore.Codec, categories ...string) *Admin {
	b := *a
	b.codec, b.categories = codec, categories
	return &b
}

// WithAsks returns a that can ask servers for what is to be beside events, as Config.Asks does.
func (a *Admin) WithAsks(asks AskerFactory) *Admin {
	b := *a
	b.lookups.asks = asks
	return &b
}

var (
	// ErrNotFound is returned for the name of a subscription that is not there.
	ErrNotFound = eventstore.NewError(eventstore.ClassNotFound, "subscription not found")
	// ErrAnotherApp is returned for the name of a subscription that another App has.
	ErrAnotherApp = eventstore.NewError(eventstore.ClassConflict, "the subscription belongs to another app")
	// ErrHasDeadLetters is returned by Delete for a subscription that has dead letters.
	ErrHasDeadLetters = eventstore.NewError(eventstore.ClassConflict, "the subscription has dead letters")
	// ErrNotStopped is returned by Skip for a subscription that did not stop on an event.
	ErrNotStopped = eventstore.NewError(eventstore.ClassConflict, "the subscription has not stopped on an event")
	// ErrKeyChange is returned by Put for another key while it would change the order of events that are under way.
	ErrKeyChange = eventstore.NewError(eventstore.ClassConflict, "the key cannot be changed now")
	// ErrRevision is matched by *RevisionError.
	ErrRevision = eventstore.NewError(eventstore.ClassConflict, "the subscription is at another revision")
	// ErrNoDeadLetter is returned for a position at which the subscription has no dead letter.
	ErrNoDeadLetter = eventstore.NewError(eventstore.ClassNotFound, "there is no dead letter at the position")
)

// RevisionError is returned by a change of a subscription that is at another revision than the caller has seen.
// Nothing was changed. It matches ErrRevision.
type RevisionError struct {
	Subscription     string
	Expected, Actual int64
}

func (e *RevisionError) Error() string {
	if e.Actual == 0 {
		return fmt.Sprintf("subscription %q is not there, revision %d was expected", e.Subscription, e.Expected)
	}
	if e.Expected == NotThere {
		return fmt.Sprintf("subscription %q is there already, at revision %d", e.Subscription, e.Actual)
	}
	return fmt.Sprintf("subscription %q is at revision %d, %d was expected", e.Subscription, e.Actual, e.Expected)
}

// Unwrap returns ErrRevision.
func (e *RevisionError) Unwrap() error { return ErrRevision }

// found is a subscription as its row has it.
type found struct {
	id         int64
	definition Definition
	text       string
	revision   int64
	paused     bool
	partitions int
	halvingTo  int
	start      int64
	failure    *operations.Failure
	// replayOf is the subscription that it is a replay of, by id, and replay what it is; 0: it is none.
	replayOf  int64
	replay    Replay
	operation *uuid.UUID
}

const findSQL = `
SELECT id, app, definition, revision, desired = 'paused', partitions, coalesce(halving_to, 0), start_position,
       coalesce(replay_of, 0), coalesce(replay, '{}'), operation,
       stopped_at, coalesce(stopped_position, 0), coalesce(failure, ''), coalesce(failure_reason, '')
FROM {schema}.subscriptions WHERE name = $1`

// find returns a subscription; lock is empty, or what is behind FOR.
func (r *records) find(ctx context.Context, db queryRower, name, lock string) (*found, error) {
	sql := findSQL
	if lock != "" {
		sql += " FOR " + lock
	}
	f := &found{}
	var app, replay string
	failure := stoppedColumns{}
	err := db.QueryRow(ctx, r.sql(sql), name).Scan(append([]any{&f.id, &app, &f.text, &f.revision, &f.paused, &f.partitions, &f.halvingTo, &f.start,
		&f.replayOf, &replay, &f.operation}, failure.into()...)...)
	switch {
	case isNoRows(err):
		return nil, ErrNotFound
	case err != nil:
		return nil, err
	case r.app != "" && app != r.app:
		return nil, fmt.Errorf("%w: %q, this program is %q", ErrAnotherApp, app, r.app)
	}
	f.failure = failure.failure()
	if f.definition, err = parseStored(f.text); err == nil {
		err = json.Unmarshal([]byte(replay), &f.replay)
	}
	f.definition.Paused = f.paused
	return f, err
}

type queryRower interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// steer runs f in a transaction that has locked a subscription. It tells members to look if f returns true.
func (a *Admin) steer(ctx context.Context, what, name string, f func(pgx.Tx, *found) (changed bool, err error)) error {
	err := a.records.inTx(ctx, func(tx pgx.Tx) error {
		s, err := a.records.find(ctx, tx, name, "NO KEY UPDATE")
		if err != nil {
			return err
		}
		changed, err := f(tx, s)
		if err != nil || !changed {
			return err
		}
		return a.records.raise(ctx, tx)
	})
	if err != nil && !errors.Is(err, errDryRun) {
		return fmt.Errorf("%s subscription %q: %w", what, name, err)
	}
	return nil
}

// errDryRun takes a transaction back that was only to see what it would do.
var errDryRun = errors.New("dry run")

const auditSQL = `INSERT INTO {schema}.subscription_audit (subscription, name, actor, action, detail) VALUES ($1, $2, $3, $4, $5)`

// audit writes down what an operator did.
func (r *records) audit(ctx context.Context, tx pgx.Tx, s *found, actor, action, detail string) error {
	_, err := tx.Exec(ctx, r.sql(auditSQL), s.id, s.definition.Name, operations.SanitizeText(actor), action, operations.SanitizeText(detail))
	return err
}

// stoppedColumns are why a subscription has stopped.
type stoppedColumns struct {
	at *time.Time
	f  operations.Failure
}

func (c *stoppedColumns) into() []any {
	return []any{&c.at, &c.f.Position, &c.f.Error, &c.f.Reason}
}

func (c *stoppedColumns) failure() *operations.Failure {
	if c.at == nil {
		return nil
	}
	c.f.At = c.at.UTC()
	return &c.f
}
