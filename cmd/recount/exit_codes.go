package main

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
	"github.com/57528e99/recount/shop/onlineretail"
)

// Exit codes. They are documented and do not change.
const (
	exitOK          = 0
	exitFailure     = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitRejected    = 5
	exitAuth        = 6
	exitUnavailable = 7
	exitCheckFailed = 8
	exitInterrupted = 130
)

// failure is an error that knows its exit code and the way out.
type failure struct {
	code int
	err  error
	hint string // may be empty
}

func (f *failure) Error() string { return f.err.Error() }

func (f *failure) Unwrap() error { return f.err }

// Hint says how to get on.
func (f *failure) Hint() string { return f.hint }

// exitCodes are those of the classes of errors. Of a class that is not here it is exitFailure.
var exitCodes = map[eventstore.Class]int{
	eventstore.ClassInvalid:         exitUsage,
	eventstore.ClassTooLarge:        exitUsage,
	eventstore.ClassNotFound:        exitNotFound,
	eventstore.ClassDeleted:         exitNotFound,
	eventstore.ClassConflict:        exitConflict,
	eventstore.ClassReused:          exitConflict,
	eventstore.ClassRejected:        exitRejected,
	eventstore.ClassOutcomeUnknown:  exitUnavailable,
	eventstore.ClassAppendsDisabled: exitUnavailable,
	eventstore.ClassReadOnly:        exitUnavailable,
	eventstore.ClassOverloaded:      exitUnavailable,
	eventstore.ClassClosed:          exitUnavailable,
	eventstore.ClassBehind:          exitUnavailable,
	eventstore.ClassUnavailable:     exitUnavailable,
	eventstore.ClassTimeout:         exitUnavailable,
}

// exitCode returns the exit code of an error: what the error says itself, else that of its class.
func exitCode(err error) int {
	var own *failure
	var refused *onlineretail.RefusedError
	var answered *refusedByServer
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &own):
		return own.code
	case errors.Is(err, errInterrupted), errors.Is(err, context.Canceled):
		return exitInterrupted
	case pgerr.IsAuth(err):
		return exitAuth
	case errors.As(err, new(*onlineretail.GaveUpError)), errors.As(err, new(*pgconn.ConnectError)),
		errors.As(err, new(*pgembed.NoBinariesError)), errors.Is(err, migrations.ErrLocked):
		return exitUnavailable
	case errors.As(err, &refused):
		return codeOfStatus(refused.Status)
	case errors.As(err, &answered):
		return codeOfStatus(answered.status)
	case errors.As(err, new(*pgembed.RunningError)), errors.As(err, new(*migrations.DirtyError)), errors.Is(err, syscall.EADDRINUSE):
		return exitConflict
	}
	if code, ok := exitCodes[eventstore.ClassOf(err)]; ok {
		return code
	}
	return exitFailure
}

// codeOfStatus returns the exit code for what a server refused.
func codeOfStatus(status int) int {
	switch {
	case status == http.StatusBadRequest:
		return exitUsage
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return exitAuth
	case status == http.StatusNotFound, status == http.StatusGone:
		return exitNotFound
	case status == http.StatusConflict, status == http.StatusPreconditionFailed:
		return exitConflict
	case status == http.StatusUnprocessableEntity:
		return exitRejected
	case status == http.StatusServiceUnavailable:
		return exitUnavailable
	}
	return exitFailure
}
