package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/operations"
)

// eventError is why an event cannot be applied.
type eventError struct {
	event Recorded
	err   error
}

func (e *eventError) Error() string {
	return fmt.Sprintf("event %s (%s) at position %d: %v", e.event.ID, e.event.Type, e.event.Position, e.err)
}

func (e *eventError) Unwrap() error { return e.err }

// dataError is an error of a SQL projector's own code, as opposed to a lost connection.
type dataError struct{ err error }

func (e *dataError) Error() string { return e.err.Error() }
func (e *dataError) Unwrap() error { return e.err }

// isDataError reports whether err will come again whenever the same events are applied. Everything
// else is tried again: an outage must never stop a projection.
func isDataError(err error) bool {
	if pgerr.Code(err) != "" {
		return pgerr.IsStatement(err) || pgerr.Is(err, pgerr.TransactionAborted) // after an error that was ignored
	}
	var value *rowmap.ValueError
	var own *dataError
	return errors.As(err, &value) || errors.As(err, &own)
}

// isUnknownSchema reports whether err is about what this program cannot read: nothing is wrong with
// the event or the projection, and another program may go on.
func isUnknownSchema(err error) bool {
	return eventstore.ClassOf(err) == eventstore.ClassUnknownSchema
}

// isLogError reports whether an error of reading the log stops the projection.
func isLogError(err error) bool {
	return errors.Is(err, eventstore.ErrLogChanged) || errors.Is(err, eventstore.ErrCorrupt)
}

// fail stops the projection with an error, and gives the lease back. It returns lease.ErrLost if
// the lease is lost, and does nothing to rows that are at another place than the lease left them:
// they are of a backup that took the place of the database, and nothing is wrong with them.
func (l *generationLease) fail(ctx context.Context, db querier, cause error) error {
	failpoint.Hit(failpoint.ProjectFailing)
	var position *int64
	var id *uuid.UUID
	var eventType, stream *string
	var at *eventError
	reason := cause
	if errors.As(cause, &at) {
		position, id, eventType, stream, reason = &at.event.Position, &at.event.ID, &at.event.Type, &at.event.Stream, at.err
	}
	return l.Update(ctx, db, lease.Clause{
		Set: `failed_at = clock_timestamp(), failed_position = $4, failed_event_id = $5, failed_type = $6, failed_stream = $7,
    failure = $8, failure_hint = $9, trouble = NULL, trouble_at = NULL, ` + lease.Clear,
		Where: `(position = $10 OR NOT built)`,
		Args: []any{
			position, id, eventType, stream, operations.SanitizeText(operations.WithDetail(reason)),
			reasonOf(cause), l.checkpoint.Token.Position,
		},
	})
}

// reasonOf returns the code of what to do about a failure.
func reasonOf(err error) operations.Reason {
	switch {
	case errors.Is(err, eventstore.ErrLogChanged):
		return ReasonLogChanged
	case errors.Is(err, eventstore.ErrCorrupt):
		return ReasonLogCorrupt
	case errors.Is(err, ErrNoRow):
		return ReasonNoRow
	case pgerr.In(err, pgerr.ClassStatement):
		return ReasonTableChanged
	case pgerr.IsContent(err):
		return ReasonRowRefused
	}
	return ReasonNotApplied
}
