package projections

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"iter"
	"maps"
	"slices"

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

// projector applies events to one projection's table.
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
	commit(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded, move statement) error
	// probe applies events and takes that back.
	probe(ctx context.Context, pool *pgxpool.Pool, g generation, events []Decoded) error
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

// handledTypes are the event types that a projection handles: all names of each, by its present
// one.
type handledTypes map[string][]string

// add adds the type with a name, present or former, and reports whether the codec has it.
func (h handledTypes) add(codec *eventstore.Codec, name string) bool {
	names := codec.Names(name)
	if len(names) > 0 {
		h[names[0]] = names
	}
	return len(names) > 0
}

// types returns the names that events may be under in the log, sorted.
func (h handledTypes) types() []string {
	var all []string
	for _, names := range h {
		all = append(all, names...)
	}
	slices.Sort(all)
	return all
}

// namings yields the types, each under one of its names, sorted: first all under their present
// names, then every other choice. There are few: types are seldom renamed.
func (h handledTypes) namings() iter.Seq[[]string] {
	types := slices.Sorted(maps.Keys(h))
	var choose func(chosen []string, yield func([]string) bool) bool
	choose = func(chosen []string, yield func([]string) bool) bool {
		if len(chosen) == len(types) {
			return yield(slices.Sorted(slices.Values(chosen)))
		}
		for _, name := range h[types[len(chosen)]] {
			if !choose(append(chosen, name), yield) {
				return false
			}
		}
		return true
	}
	return func(yield func([]string) bool) { choose(nil, yield) }
}

// definitionOf returns the hash of a projection's definition, with the present names of event
// types.
func definitionOf(runs projector, define func(events []string) string) string {
	for names := range runs.namings() {
		return hashOf(define(names))
	}
	return ""
}

// isDefinedAs reports whether rows with a definition are those of a projection. A type that was
// renamed is the same type, so any of its names may be in the definition.
func isDefinedAs(definition string, runs projector, define func(events []string) string) bool {
	for names := range runs.namings() {
		if definition == hashOf(define(names)) {
			return true
		}
	}
	return false
}

func hashOf(definition string) string {
	sum := sha256.Sum256([]byte(definition))
	return hex.EncodeToString(sum[:])
}
