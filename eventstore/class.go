package eventstore

import (
	"context"
	"errors"
	"io"
	"net"

	"github.com/57528e99/recount/internal/pgerr"
)

// Class says what kind of error one is to whoever has to act on it: an HTTP status, a gRPC code, an
// exit code and a label of metrics are each a map of classes. An error that is of several is of the
// one declared first here.
type Class uint8

// The classes. There are no others.
const (
	// ClassNone: no error.
	ClassNone Class = iota
	// ClassRejected: a rule of the domain refused it.
	ClassRejected
	// ClassOutcomeUnknown: it may have been written, or may yet be. Repeat it with the same ids or
	// key.
	ClassOutcomeUnknown
	// ClassTooLarge: more events or bytes than are allowed.
	ClassTooLarge
	// ClassInvalid: it can never succeed.
	ClassInvalid
	// ClassConflict: something else is in its way now. Look again and decide anew.
	ClassConflict
	// ClassKnown: it was done before, and the answer of then is at hand.
	ClassKnown
	// ClassReused: an id or idempotency key stands for something else already.
	ClassReused
	// ClassDeleted: it was there and was deleted.
	ClassDeleted
	// ClassNotFound: it is not there.
	ClassNotFound
	// ClassNotSupported: this store cannot do it.
	ClassNotSupported
	// ClassWrongLog: a token or checkpoint is of another log, or of a part that is lost.
	ClassWrongLog
	// ClassCorrupt: the log breaks its own rules.
	ClassCorrupt
	// ClassUnknownSchema: this program does not know a type of event or a schema version. Another may.
	ClassUnknownSchema
	// ClassUnreadable: events cannot be read by any program until somebody mends something.
	ClassUnreadable
	// ClassAppendsDisabled: the log has to be adopted, or this process restarted, before it appends.
	ClassAppendsDisabled
	// ClassReadOnly: the database takes no writes.
	ClassReadOnly
	// ClassOverloaded: too much waits already. Try later.
	ClassOverloaded
	// ClassClosed: the store or process is shutting down.
	ClassClosed
	// ClassBehind: a read model has not come as far as was asked.
	ClassBehind
	// ClassCancelled: whoever asked has gone.
	ClassCancelled
	// ClassUnavailable: something that it needs cannot be reached or does not work now. Try later.
	ClassUnavailable
	// ClassTimeout: it took longer than it may.
	ClassTimeout
	// ClassInternal: every other error.
	ClassInternal
)

var classNames = [...]string{
	ClassNone: "none", ClassRejected: "rejected", ClassOutcomeUnknown: "unknown", ClassTooLarge: "too_large", ClassInvalid: "invalid",
	ClassConflict: "conflict", ClassKnown: "known", ClassReused: "reused", ClassDeleted: "deleted", ClassNotFound: "not_found",
	ClassNotSupported: "not_supported", ClassWrongLog: "wrong_log", ClassCorrupt: "corrupt", ClassUnknownSchema: "unknown_schema",
	ClassUnreadable: "unreadable", ClassAppendsDisabled: "appends_disabled", ClassReadOnly: "read_only", ClassOverloaded: "overloaded",
	ClassClosed: "closed", ClassBehind: "behind", ClassUnavailable: "unavailable", ClassCancelled: "cancelled", ClassTimeout: "timeout",
	ClassInternal: "internal",
}

// String returns the class as one lower-case word, e.g. for a label.
func (c Class) String() string { return classNames[c] }

// Classes returns all classes but ClassNone.
func Classes() []Class {
	list := make([]Class, 0, len(classNames)-1)
	for c := range classNames[1:] {
		list = append(list, Class(c+1))
	}
	return list
}

// classError is an error that knows its class.
type classError struct {
	class Class
	text  string
}

func (e *classError) Error() string { return e.text }

// Class is what ClassOf asks for.
func (e *classError) Class() Class { return e.class }

// reasonError is an error whose remedy has a code.
type reasonError struct {
	error
	code, subject, schema string
}

func (e *reasonError) Unwrap() error { return e.error }

// Reason returns the code of what to do about it, what that is about, and the schema of the log.
func (e *reasonError) Reason() (code, subject, schema string) { return e.code, e.subject, e.schema }

// WithReason returns err with a code that says what to do about it, such as tables-behind, what it
// is about and the schema of the log, which may be empty. Libraries give codes, programs have the
// words and command lines.
func WithReason(err error, code, subject, schema string) error {
	return &reasonError{err, code, subject, schema}
}

// NewError is errors.New for an error of a class. An error type of its own tells its class with a
// method Class, or by unwrapping to such an error.
func NewError(c Class, text string) error { return &classError{c, text} }

// ClassOf returns the class of err or of what it wraps. What it does not know is ClassInternal. Of
// the errors of a database driver it reads the SQLSTATE.
func ClassOf(err error) Class {
	switch err {
	case nil:
		return ClassNone
	case context.Canceled:
		return ClassCancelled
	case context.DeadlineExceeded:
		return ClassTimeout
	case io.ErrUnexpectedEOF, net.ErrClosed:
		return ClassUnavailable
	}
	found := ClassInternal
	switch own := err.(type) {
	case interface{ Class() Class }:
		found = own.Class()
	case interface{ SQLState() string }:
		found = classOfServer(err)
	case *net.OpError:
		found = ClassUnavailable
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			if inner != nil {
				found = min(found, ClassOf(inner))
			}
		}
	case interface{ Unwrap() error }:
		if inner := errors.Unwrap(err); inner != nil {
			found = min(found, ClassOf(inner))
		}
	}
	return found
}

// classOfServer returns the class of an error of PostgreSQL's.
func classOfServer(err error) Class {
	switch {
	case pgerr.Is(err, pgerr.QueryCanceled):
		return ClassTimeout
	case pgerr.IsReadOnly(err):
		return ClassReadOnly
	case pgerr.IsUnavailable(err), pgerr.LacksTables(err):
		return ClassUnavailable
	}
	return ClassInternal
}
