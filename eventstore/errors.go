package eventstore

import (
	"fmt"

	"github.com/google/uuid"
)

// Errors of appends. Nothing was written, except where said.
var (
	// ErrInvalid is matched by *InvalidError: the call can never succeed.
	ErrInvalid = NewError(ClassInvalid, "invalid input")
	// ErrTooLarge is matched, beside ErrInvalid, by an *InvalidError for more events
	// or bytes than Limits allow.
	ErrTooLarge = NewError(ClassTooLarge, "too large")
	// ErrConflict is matched by *ConflictError.
	ErrConflict = NewError(ClassConflict, "stream is not at the expected version")
	// ErrIDReused is matched by *IDReusedError.
	ErrIDReused = NewError(ClassReused, "event id was used before with other content")
	// ErrReceiptKnown is matched by *ReceiptKnownError.
	ErrReceiptKnown = NewError(ClassKnown, "receipt is known")
	// ErrReceiptMismatch is matched by *ReceiptMismatchError.
	ErrReceiptMismatch = NewError(ClassReused, "idempotency key was used for another request")
	// ErrOverloaded is returned when too many appends wait already. Try again
	// later, or slow down.
	ErrOverloaded = NewError(ClassOverloaded, "event store is overloaded")
	// ErrUnavailable is returned when the store cannot be reached or cannot
	// write now. The error's text says why.
	ErrUnavailable = NewError(ClassUnavailable, "event store is unavailable")
	// ErrReadOnly is returned, with ErrUnavailable, when the database takes no writes.
	ErrReadOnly = NewError(ClassReadOnly, "the database is read-only (a standby?); connect to the primary")
	// ErrOutcomeUnknown is returned when it could not be found out whether the
	// events were written: they may have been, or may yet be. Append again
	// with the same ids or receipt.
	ErrOutcomeUnknown = NewError(ClassOutcomeUnknown, "outcome of the append is unknown")
	// ErrLogMoved is returned, with ErrUnavailable, when the log was restored,
	// copied, failed over, adopted or replaced by another: this process may not
	// append to it until somebody has looked. The error's text says what to do.
	ErrLogMoved = NewError(ClassAppendsDisabled, "appends are disabled")
	// ErrClosed is returned by a store that was closed.
	ErrClosed = NewError(ClassClosed, "event store is closed")
	// ErrNotSupported is returned when the store lacks what was asked of it;
	// see Features.
	ErrNotSupported = NewError(ClassNotSupported, "not supported by this event store")
)

// Errors of reads.
var (
	// ErrStreamNotFound is returned for a stream that was never written, and
	// matched by the error for a deleted one.
	ErrStreamNotFound = NewError(ClassNotFound, "stream not found")
	// ErrStreamDeleted is matched by *StreamDeletedError.
	ErrStreamDeleted = NewError(ClassDeleted, "stream is deleted")
	// ErrReceiptNotFound is returned for a receipt that was never written or
	// was purged.
	ErrReceiptNotFound = NewError(ClassNotFound, "receipt not found")
	// ErrInvalidToken is returned for text that is not a token.
	ErrInvalidToken = NewError(ClassInvalid, "not a consistency token")
	// ErrLogChanged is matched by *LogChangedError.
	ErrLogChanged = NewError(ClassWrongLog, "token is of another log")
	// ErrCorrupt is matched by errors that report a log which breaks its own
	// rules, e.g. a missing position. Reading stops there.
	ErrCorrupt = NewError(ClassCorrupt, "event log is damaged")
)

// Errors of codecs.
var (
	// ErrUnknownType is matched by *UnknownTypeError.
	ErrUnknownType = NewError(ClassUnknownSchema, "unknown event type")
	// ErrUnknownVersion is matched by *UnknownVersionError.
	ErrUnknownVersion = NewError(ClassUnknownSchema, "unknown event schema version")
	// ErrUndecodable is returned for an event whose data is not what its type and
	// version say.
	ErrUndecodable = NewError(ClassUnreadable, "event data cannot be read")
	// ErrInvalidType is returned by NewCodec for types that do not fit.
	ErrInvalidType = NewError(ClassInvalid, "invalid event type")
)

// InvalidError is returned for input that no store takes: it can never be
// appended, or asks for what a method does not do.
type InvalidError struct {
	// Field names what is wrong, e.g. `stream` or `events[3].type`.
	Field string
	// Reason says what it must be.
	Reason string
	// TooLarge says that it has more events or bytes than Limits allow.
	TooLarge bool
}

func (e *InvalidError) Error() string { return "invalid input: " + e.Field + " " + e.Reason }

// Unwrap returns ErrInvalid, and ErrTooLarge if it is.
func (e *InvalidError) Unwrap() []error {
	if e.TooLarge {
		return []error{ErrInvalid, ErrTooLarge}
	}
	return []error{ErrInvalid}
}

// ConflictError is returned when a stream is not at the expected version.
// Reload and decide again.
type ConflictError struct {
	Stream   string
	Expected ExpectedVersion
	// Actual is the version of the stream's last event, -1 if it has none.
	Actual int64
}

func (e *ConflictError) Error() string {
	actual := fmt.Sprintf("is at version %d", e.Actual)
	if e.Actual < 0 {
		actual = "does not exist"
	}
	return fmt.Sprintf("stream %q %s, expected %s", e.Stream, actual, e.Expected)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// StreamDeletedError is returned for a stream that was deleted.
type StreamDeletedError struct {
	Stream string
	// Tombstoned says that it was deleted for ever.
	Tombstoned bool
}

func (e *StreamDeletedError) Error() string {
	if e.Tombstoned {
		return fmt.Sprintf("stream %q is deleted for ever", e.Stream)
	}
	return fmt.Sprintf("stream %q is deleted", e.Stream)
}

// Unwrap returns ErrStreamDeleted, and ErrStreamNotFound if the stream can be
// created again.
func (e *StreamDeletedError) Unwrap() []error {
	if e.Tombstoned {
		return []error{ErrStreamDeleted}
	}
	return []error{ErrStreamDeleted, ErrStreamNotFound}
}

// IDReusedError is returned for an event id that its stream has already, with
// other content or as a part of another append.
type IDReusedError struct {
	Stream string
	ID     uuid.UUID
	Reason string
}

func (e *IDReusedError) Error() string {
	return fmt.Sprintf("event id %s in stream %q: %s; use a new id for a new event", e.ID, e.Stream, e.Reason)
}

// Unwrap returns ErrIDReused.
func (e *IDReusedError) Unwrap() error { return ErrIDReused }

// ReceiptKnownError is returned when the receipt of an append was stored before
// for the same request. Nothing was written now; Stored is the answer to give.
type ReceiptKnownError struct{ Stored StoredReceipt }

func (e *ReceiptKnownError) Error() string {
	return fmt.Sprintf("receipt %q of %q was stored at %s", e.Stored.Key, e.Stored.Scope, e.Stored.StoredAt)
}

// Unwrap returns ErrReceiptKnown.
func (e *ReceiptKnownError) Unwrap() error { return ErrReceiptKnown }

// ReceiptMismatchError is returned when the receipt of an append was stored
// before for another request.
type ReceiptMismatchError struct{ Scope, Key string }

func (e *ReceiptMismatchError) Error() string {
	return fmt.Sprintf("idempotency key %q was used for another request; use a new key", e.Key)
}

// Unwrap returns ErrReceiptMismatch.
func (e *ReceiptMismatchError) Unwrap() error { return ErrReceiptMismatch }

// LogChangedError is returned when a token does not fit the log: it is of
// another log, or of a part that a restore or failover has lost.
type LogChangedError struct {
	Token Token
	Head  Token
	// LastCommon is the last position that the token's log and this one share;
	// -1 if it is another log.
	LastCommon int64
}

func (e *LogChangedError) Error() string {
	if e.LastCommon < 0 {
		return fmt.Sprintf("the token is of log %s, this is log %s", e.Token.Log, e.Head.Log)
	}
	return fmt.Sprintf("the log was restored: position %d of incarnation %d is beyond the last common position %d",
		e.Token.Position, e.Token.Incarnation, e.LastCommon)
}

// Unwrap returns ErrLogChanged.
func (e *LogChangedError) Unwrap() error { return ErrLogChanged }

// UnknownTypeError is returned for an event whose type the codec does not know.
type UnknownTypeError struct{ Type string }

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("event type %q is not known; register it with NewCodec", e.Type)
}

// Unwrap returns ErrUnknownType.
func (e *UnknownTypeError) Unwrap() error { return ErrUnknownType }

// UnknownVersionError is returned for an event whose schema version the codec
// cannot read.
type UnknownVersionError struct {
	Type    string
	Version int
	// Oldest and Newest are the versions that can be read.
	Oldest, Newest int
}

func (e *UnknownVersionError) Error() string {
	return fmt.Sprintf("event type %q has schema version %d, only %d to %d are known; add an upcaster or run a newer program",
		e.Type, e.Version, e.Oldest, e.Newest)
}

// Unwrap returns ErrUnknownVersion.
func (e *UnknownVersionError) Unwrap() error { return ErrUnknownVersion }
