package projections

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/operations"
)

var (
	// ErrInvalid is matched by *InvalidError.
	ErrInvalid = eventstore.NewError(eventstore.ClassInvalid, "invalid projection")
	// ErrNoRow is why an Update fails for which there is no row.
	ErrNoRow = errors.New("there is no row to update")
	// ErrNotFound is returned for the name of a projection that no program ever ran.
	ErrNotFound = eventstore.NewError(eventstore.ClassNotFound, "projection not found")
	// ErrNotFailed is returned by Skip for a projection that did not stop on an event.
	ErrNotFailed = eventstore.NewError(eventstore.ClassConflict, "projection has not failed on an event")
	// ErrInUse is returned by Drop for what somebody still needs.
	ErrInUse = eventstore.NewError(eventstore.ClassConflict, "it is in use")
	// ErrStarted is returned by a second Start.
	ErrStarted = background.ErrStarted
)

// DefinitionChangedError is returned by Start when a projection was changed but not its Version, so
// its rows would be of both kinds.
type DefinitionChangedError struct {
	Projection string
	Version    int
}

func (e *DefinitionChangedError) Error() string {
	return fmt.Sprintf("projection %s: its columns or event types are not those that version %d was made with; raise its Version",
		e.Projection, e.Version)
}

// Hint says how to get on.
func (e *DefinitionChangedError) Hint() string {
	return fmt.Sprintf("set Version to %d: the new version is built beside the old one and then takes its place. If an event type "+
		"has another name now, say instead what it was, with eventstore.Was", e.Version+1)
}

// NameTakenError is returned by Start when something else than the projection has its name.
type NameTakenError struct{ Projection string }

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("projection %s: the schema has another table or view of that name", e.Projection)
}

// Hint says how to get on.
func (e *NameTakenError) Hint() string { return "give the projection another name" }

// InvalidError is returned by NewRunner for projections that are not right. It matches ErrInvalid.
type InvalidError struct {
	// Mistakes are all that were found, each with the name of its projection.
	Mistakes []error
}

func (e *InvalidError) Error() string {
	lines := make([]string, len(e.Mistakes))
	for i, mistake := range e.Mistakes {
		lines[i] = strings.ReplaceAll(mistake.Error(), "\n", "; ")
	}
	return "invalid projection: " + strings.Join(lines, "; ")
}

// Unwrap returns ErrInvalid.
func (e *InvalidError) Unwrap() error { return ErrInvalid }

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// notFound turns the absence of a row into ErrNotFound.
func notFound(err error) error {
	if isNoRows(err) {
		return ErrNotFound
	}
	return err
}

// Why a projection, or an operation on one, has failed, or is refused. What to do about it is said
// by the program.
const (
	ReasonLogChanged   operations.Reason = "log-changed"       // the rows are of another log
	ReasonLogCorrupt   operations.Reason = "log-corrupt"       // an event is not as it was appended
	ReasonNoRow        operations.Reason = "no-row"            // an event comes before its row is made, or after it is deleted
	ReasonTableChanged operations.Reason = "table-changed"     // it is not as it was made, or a statement is wrong
	ReasonRowRefused   operations.Reason = "row-refused"       // by PostgreSQL
	ReasonNotApplied   operations.Reason = "event-not-applied" // it cannot be decoded or applied

	ReasonAppliedBefore operations.Reason = "event-applied-before" // it cannot be applied any more, but its rows are there
	ReasonTooLarge      operations.Reason = "memory-too-small"     // operations.Options.MemoryBytes
	ReasonNoFold        operations.Reason = "not-a-fold"           // only folds can be verified and repaired
	ReasonNotBuilt      operations.Reason = "not-built"            // the version has no rows yet
	ReasonPaused        operations.Reason = "projection-paused"    // so what is built cannot catch up
	ReasonReplaying     operations.Reason = "applied-one-by-one"   // rows cannot be copied; it will stop on the event that is why
	ReasonPassesDiffer  operations.Reason = "passes-differ"        // two passes over the log found different events
	ReasonCopyDiffers   operations.Reason = "copy-differs"         // the table does not have the rows that were copied
	ReasonFoldDiffers   operations.Reason = "folds-differ"         // two folds of the same events

	ReasonOtherLog        operations.Reason = "log-of-another-app"        // the App is not on the log
	ReasonOtherProjection operations.Reason = "projection-of-another-app" // two Apps have the same name for one
)
