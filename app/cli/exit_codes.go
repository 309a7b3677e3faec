package cli

import (
	"context"
	"errors"
	"net/http"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/migrations"
)

// Exit codes. They are documented and do not change.
const (
	ExitOK          = 0
	ExitFailure     = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitConflict    = 4
	ExitRejected    = 5
	ExitAuth        = 6
	ExitUnavailable = 7
	ExitCheckFailed = 8
	ExitInterrupted = 130
)

// Failure is an error that knows its exit code and the way out.
type Failure struct {
	Code int
	Err  error
	// Advice is what to do; empty: nothing is known. {program} in it stands for the program.
	Advice string
}

// Fail returns a Failure.
func Fail(code int, err error, advice string) error { return &Failure{code, err, advice} }

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// Hint says how to get on.
func (f *Failure) Hint() string { return f.Advice }

// exitCodes are those of the classes of errors. Of a class that is not here it is ExitFailure.
var exitCodes = map[eventstore.Class]int{
	eventstore.ClassInvalid:         ExitUsage,
	eventstore.ClassTooLarge:        ExitUsage,
	eventstore.ClassNotFound:        ExitNotFound,
	eventstore.ClassDeleted:         ExitNotFound,
	eventstore.ClassConflict:        ExitConflict,
	eventstore.ClassReused:          ExitConflict,
	eventstore.ClassRejected:        ExitRejected,
	eventstore.ClassOutcomeUnknown:  ExitUnavailable,
	eventstore.ClassAppendsDisabled: ExitUnavailable,
	eventstore.ClassReadOnly:        ExitUnavailable,
	eventstore.ClassOverloaded:      ExitUnavailable,
	eventstore.ClassClosed:          ExitUnavailable,
	eventstore.ClassBehind:          ExitUnavailable,
	eventstore.ClassUnavailable:     ExitUnavailable,
	eventstore.ClassTimeout:         ExitUnavailable,
}

// ExitCode returns the exit code of an error: what the error says itself, else that of its class.
func ExitCode(err error) int {
	var own *Failure
	var answered interface{ HTTPStatus() int }
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &own):
		return own.Code
	case errors.Is(err, ErrInterrupted), errors.Is(err, context.Canceled):
		return ExitInterrupted
	case pgerr.IsAuth(err):
		return ExitAuth
	case errors.As(err, new(*pgconn.ConnectError)), errors.As(err, new(*pgembed.NoBinariesError)),
		errors.As(err, new(*migrations.BehindError)), errors.Is(err, migrations.ErrLocked):
		return ExitUnavailable
	case errors.As(err, &answered):
		return codeOfStatus(answered.HTTPStatus())
	case errors.As(err, new(*pgembed.RunningError)), errors.As(err, new(*migrations.DirtyError)), errors.Is(err, syscall.EADDRINUSE):
		return ExitConflict
	}
	if code, ok := exitCodes[eventstore.ClassOf(err)]; ok {
		return code
	}
	return ExitFailure
}

// codeOfStatus returns the exit code for what a server refused.
func codeOfStatus(status int) int {
	switch {
	case status == http.StatusBadRequest:
		return ExitUsage
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return ExitAuth
	case status == http.StatusNotFound, status == http.StatusGone:
		return ExitNotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return ExitConflict
	case status == http.StatusUnprocessableEntity:
		return ExitRejected
	case status == http.StatusServiceUnavailable, status == http.StatusTooManyRequests:
		return ExitUnavailable
	}
	return ExitFailure
}
