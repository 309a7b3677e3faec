package commands

import (
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

var (
	// ErrRejected is matched by *RejectedError.
	ErrRejected = eventstore.NewError(eventstore.ClassRejected, "command is refused")
	// ErrRefusedBefore is what a *RejectedError wraps when it repeats the
	// refusal of an earlier request with the same receipt.
	ErrRefusedBefore = errors.New("the same request was refused before")
	// ErrTruncated is matched by *TruncatedError.
	ErrTruncated = eventstore.NewError(eventstore.ClassUnreadable, "stream is truncated")
)

// RejectedError is returned for a command that the rules of its aggregate
// refuse. No event was written; the same command may be accepted later, unless
// it carries the same receipt.
type RejectedError struct {
	// Stream is the stream that refused it; of a unit, the one that it asked for first, or its name.
	Stream string
	// Version is the version of the stream that the refusal rests on, -1 if it
	// does not exist.
	Version int64
	// Err is the error of Decide. It is ErrRefusedBefore on a replay, of which
	// only the answer was kept.
	Err error
	// Answer is what ReceiptRequest.Answer returned for the refusal; on a
	// replay, what it returned the first time.
	Answer Answer
	// Replayed says that the request had been refused before, and that it was
	// not decided now.
	Replayed bool
}

func (e *RejectedError) Error() string {
	return fmt.Sprintf("command refused by stream %q at version %d: %v", e.Stream, e.Version, e.Err)
}

// Unwrap returns ErrRejected and the error of Decide.
func (e *RejectedError) Unwrap() []error { return []error{ErrRejected, e.Err} }

// TruncatedError is returned for a stream whose first events are hidden by its
// metadata, and that has no snapshot to begin with: its state cannot be known from
// what is left.
type TruncatedError struct {
	Stream string
	// First is the lowest version that can be read, -1 if there is none.
	First int64
}

func (e *TruncatedError) Error() string {
	if e.First < 0 {
		return fmt.Sprintf("stream %q is truncated, no event of it can be read; relax its stream metadata", e.Stream)
	}
	return fmt.Sprintf("stream %q is truncated, it can be read from version %d only; relax its stream metadata", e.Stream, e.First)
}

// Unwrap returns ErrTruncated.
func (e *TruncatedError) Unwrap() error { return ErrTruncated }

// EventError is returned for an event in a stream that cannot be turned into an
// event of the aggregate. It wraps the reason: *eventstore.UnknownTypeError,
// *eventstore.UnknownVersionError or eventstore.ErrUndecodable.
type EventError struct {
	Stream  string
	Version int64
	// Type is the name of the event's type, SchemaVersion the version that it was written in.
	Type          string
	SchemaVersion int
	Err           error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("event %d of stream %q, type %q: %v", e.Version, e.Stream, e.Type, e.Err)
}

// Unwrap returns the reason.
func (e *EventError) Unwrap() error { return e.Err }

// StateError is returned for a state of which no snapshot can be made.
type StateError struct {
	Stream string
	Err    error
}

func (e *StateError) Error() string {
	return fmt.Sprintf("state of stream %q cannot be a snapshot: %v", e.Stream, e.Err)
}

// Unwrap returns the reason.
func (e *StateError) Unwrap() error { return e.Err }
