package queries

import (
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

var (
	// ErrNotFound is returned by Get if there is no row with the key.
	ErrNotFound = eventstore.NewError(eventstore.ClassNotFound, "row not found")
	// ErrBehind is matched by *BehindError.
	ErrBehind = eventstore.NewError(eventstore.ClassBehind, "projection is behind")
	// ErrInvalidCursor is returned by Find for a cursor that no page of the same list returned.
	ErrInvalidCursor = eventstore.NewError(eventstore.ClassInvalid, "invalid cursor")
	// ErrInvalidQuery is returned for a query that the projection cannot answer, whatever its rows
	// are: unknown or not indexed columns, values of the wrong type, text with NUL.
	ErrInvalidQuery = eventstore.NewError(eventstore.ClassInvalid, "invalid query")
	// ErrInMemory is returned by SQL for rows that are in memory.
	ErrInMemory = eventstore.NewError(eventstore.ClassNotSupported, "SQL needs PostgreSQL, and the rows are in memory; a test has it with apptest.Postgres")
)

// BehindError is returned when a projection has not come as far as a read wants. Try again later.
type BehindError struct {
	Projection string
	// Position is where the projection was last seen, Want is where it must come.
	Position, Want int64
	// Reason says what is the matter with the projection; empty: nothing but that it takes time. It
	// is fit for anybody to read.
	Reason string
	// Failure is the error that it stopped with, or stands aside for, if it does. It may show data: it
	// is for operators.
	Failure string
	// stopped says that waiting is of no use.
	stopped bool
}

func (e *BehindError) Error() string {
	text := fmt.Sprintf("projection %s is at position %d, %d is wanted", e.Projection, e.Position, e.Want)
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	if e.Failure != "" {
		text += ": " + e.Failure
	}
	return text
}

// Unwrap returns ErrBehind.
func (e *BehindError) Unwrap() error { return ErrBehind }

// ParameterError is returned by SQL and SQLPage for a text that is not of the type that a parameter has in
// the statement, or has what PostgreSQL does not keep. It matches ErrInvalidQuery.
type ParameterError struct {
	// Number is that of the parameter: 1 for $1.
	Number int
	// Reason says what is wrong with it.
	Reason string
}

func (e *ParameterError) Error() string { return fmt.Sprintf("parameter $%d %s", e.Number, e.Reason) }

// Unwrap returns ErrInvalidQuery.
func (e *ParameterError) Unwrap() error { return ErrInvalidQuery }

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalidQuery}, args...)...)
}
