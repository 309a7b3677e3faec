package projections

import (
	"context"
	"iter"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
)

// Recorded is an event in its place in the log, as handlers get it. It must not be changed.
type Recorded = *eventstore.RecordedEvent

// Projection is what a Runner runs: a *Fold, a *SQLProjector or a *BatchProjector.
type Projection interface {
	// Name is the stable name: of the view, in commands and in the API.
	Name() string
	// Version is the version of the rows that the projection makes, from 1.
	Version() int
	// prepare returns what to run, and all mistakes that there are.
	prepare(*eventstore.Codec) (projector, []error)
}

// Decoded is an event together with its value.
type Decoded struct {
	Event Recorded
	// Value is of the Go type that the codec has for the event's type.
	Value any
}

// projector applies events to one projection's table. Its methods get the table's qualified name,
// quoted.
type projector interface {
	// types are all names of the event types it handles, sorted.
	types() []string
	// namings are the names that its event types have had, see handledTypes.
	namings() iter.Seq[[]string]
	// definition describes all that makes two sets of rows incompatible, with the event types under
	// the given names.
	definition(events []string) string
	create(ctx context.Context, tx pgx.Tx, table tableName) error
	// commit applies events and moves the checkpoint, both or neither.
	commit(ctx context.Context, pool *pgxpool.Pool, table tableName, events []Decoded, move statement) error
	// probe applies events and takes that back.
	probe(ctx context.Context, pool *pgxpool.Pool, table tableName, events []Decoded) error
}

// statement is one SQL statement with its parameters.
type statement struct {
	sql  string
	args []any
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// tableName is the name of a generation's table.
type tableName struct{ schema, name string }

// String returns the name qualified and quoted.
func (t tableName) String() string { return pgsql.Name(t.schema, t.name) }

// positionColumn is the column with the last position that touched a row.
const positionColumn = "recount_position"
