package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop/onlineretail"
	"github.com/57528e99/recount/snapshots"
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
	case errors.Is(err, eventstore.ErrInvalid), errors.Is(err, projections.ErrInvalidRequest):
		return exitUsage
	case errors.Is(err, eventstore.ErrStreamNotFound), errors.Is(err, eventstore.ErrStreamDeleted), errors.Is(err, projections.ErrNotFound),
		errors.Is(err, projections.ErrOperationNotFound), errors.Is(err, projections.ErrNoGeneration), errors.Is(err, snapshots.ErrNoTable), errors.Is(err, commands.ErrNoVersion):
		return exitNotFound
	case isConflict(err):
		return exitConflict
	case pgerr.IsAuth(err):
		return exitAuth
	case isUnavailable(err):
		return exitUnavailable
	case errors.As(err, &refused):
		return codeOfStatus(refused.Status)
	case errors.As(err, &answered):
		return codeOfStatus(answered.status)
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

func isConflict(err error) bool {
	var running *pgembed.RunningError
	var dirty *migrations.DirtyError
	return errors.As(err, &running) || errors.As(err, &dirty) ||
		errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, projections.ErrNotFailed) || errors.Is(err, projections.ErrBusy)
}

func isUnavailable(err error) bool {
	var connect *pgconn.ConnectError
	var none *pgembed.NoBinariesError
	var gaveUp *onlineretail.GaveUpError
	return errors.Is(err, eventstore.ErrUnavailable) || errors.Is(err, eventstore.ErrOverloaded) ||
		errors.Is(err, migrations.ErrLocked) || errors.Is(err, context.DeadlineExceeded) ||
		errors.As(err, &connect) || isNetwork(err) || errors.As(err, &none) || errors.As(err, &gaveUp)
}

// isNetwork reports an error of the network. One of a file comes from the same system calls, and
// their errors have the methods of net.Error too.
func isNetwork(err error) bool {
	var network net.Error
	if !errors.As(err, &network) {
		return false
	}
	_, bare := network.(syscall.Errno)
	return !bare
}
