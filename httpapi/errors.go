package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/queries"
)

// FieldBlamer is implemented by errors of the domain that blame one member of
// the body. The answer then names it in errors; with errors.Join an error can
// blame several.
type FieldBlamer interface {
	error
	// InvalidField returns the member's JSON pointer, e.g. /lines/3/quantity,
	// and what it must be.
	InvalidField() (pointer, reason string)
}

// problem translates an error into what the client sees, for this request.
func (x *exchange) problem(err error) *Problem {
	p := *x.translate(err) // a copy: a handler may return the same problem twice
	p.Instance = tidy(x.r.URL.EscapedPath())
	p.RequestID = x.requestID
	p.TraceID = x.traceID
	return &p
}

// translate is the one place where errors get their status and code.
func (x *exchange) translate(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if p := x.api.domainProblem(err); p != nil {
		return p
	}
	var conflict *eventstore.ConflictError
	if errors.As(err, &conflict) {
		return x.conflict(conflict)
	}
	var behind *queries.BehindError
	if errors.As(err, &behind) {
		return behindProblem(behind)
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			return o.problem(err)
		}
	}
	if errors.Is(err, context.Canceled) && x.r.Context().Err() != nil {
		return kindClientClosed.Problem("The client closed the connection before the answer was ready.")
	}
	return driverProblem(err)
}

// domainProblem returns the problem that a refusal, or an error of the table,
// is; nil for other errors.
func (a *API) domainProblem(err error) *Problem {
	text := err.Error()
	var rejected *commands.RejectedError
	refused := errors.As(err, &rejected)
	if refused {
		text = rejected.Err.Error()
	}
	for _, d := range a.config.Problems {
		if errors.Is(err, d.Err) {
			return d.Kind.Problem(text).withBlame(err)
		}
	}
	if refused {
		return kindRejected.Problem(text).withBlame(err)
	}
	return nil
}

// withBlame adds the fields that err, or what it wraps, blames.
func (p *Problem) withBlame(err error) *Problem {
	if blamer, ok := err.(FieldBlamer); ok {
		return p.withPointer(blamer.InvalidField())
	}
	switch wrapper := err.(type) {
	case interface{ Unwrap() error }:
		if inner := wrapper.Unwrap(); inner != nil {
			p.withBlame(inner)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range wrapper.Unwrap() {
			p.withBlame(inner)
		}
	}
	return p
}

// conflict tells a precondition of the client that failed from a race that the
// client has no part in.
func (x *exchange) conflict(c *eventstore.ConflictError) *Problem {
	if x.expected == eventstore.Any || c.Expected != x.expected {
		return kindConflict.Problem("Others kept changing " + c.Stream + " at the same time.").withRetryAfter(1)
	}
	p := kindPreconditionFailed.Problem(c.Error() + ".")
	p.Actual = &c.Actual
	if version, ok := c.Expected.Exact(); ok {
		p.Expected = &version
	}
	return p
}

// behindProblem leaves out the error that a projection has stopped with: that is
// for operators.
func behindProblem(b *queries.BehindError) *Problem {
	where := ""
	if b.Want > 0 {
		where = fmt.Sprintf(" is at position %d, and %d is wanted", b.Position, b.Want)
	}
	if b.Reason == "" {
		return kindProjectionBehind.Problem("The read model " + b.Projection + where + ".").withRetryAfter(1)
	}
	if where == "" {
		where = " cannot be read"
	}
	return kindProjectionStopped.Problem("The read model " + b.Projection + where + ": " + b.Reason + ".").withRetryAfter(5)
}

// outcome says what an error of the engine is to a client.
type outcome struct {
	err  error
	kind Kind
	// tell says that the error's text is of use to the client and fit for it.
	tell bool
	// retryAfter is in seconds; 0: repeating it is of no use.
	retryAfter int
}

// outcomes are in the order in which they are tried: an error may match more
// than one.
var outcomes = []outcome{
	{err: eventstore.ErrInvalid, kind: kindInvalidRequest, tell: true},
	{err: eventstore.ErrReceiptMismatch, kind: kindIdempotencyKeyReused, tell: true},
	{err: eventstore.ErrIDReused, kind: kindEventIDReused, tell: true},
	{err: eventstore.ErrStreamDeleted, kind: kindDeleted, tell: true},
	{err: eventstore.ErrStreamNotFound, kind: kindNotFound},
	{err: eventstore.ErrInvalidToken, kind: kindInvalidToken, tell: true},
	{err: eventstore.ErrLogChanged, kind: kindLogChanged, tell: true},
	{err: eventstore.ErrNotSupported, kind: kindNotSupported},
	{err: eventstore.ErrCorrupt, kind: kindLogDamaged},
	{err: eventstore.ErrUnknownVersion, kind: kindEventUnreadable, retryAfter: 5},
	{err: eventstore.ErrUnknownType, kind: kindEventUnreadable, retryAfter: 5},
	{err: eventstore.ErrUndecodable, kind: kindHistoryUnreadable},
	{err: commands.ErrTruncated, kind: kindTruncated, tell: true},
	{err: queries.ErrNotFound, kind: kindNotFound},
	{err: queries.ErrInvalidCursor, kind: kindInvalidCursor},
	{err: queries.ErrInvalidQuery, kind: kindInvalidParameter, tell: true},
	{err: eventstore.ErrLogMoved, kind: kindLogNotAdopted},
	{err: eventstore.ErrOutcomeUnknown, kind: kindOutcomeUnknown, retryAfter: 1},
	{err: eventstore.ErrOverloaded, kind: kindOverloaded, retryAfter: 1},
	{err: eventstore.ErrClosed, kind: kindShuttingDown, retryAfter: 5},
}

func (o outcome) problem(err error) *Problem {
	detail := o.kind.Meaning
	if o.tell {
		detail = err.Error()
	}
	return o.kind.Problem(detail).withRetryAfter(o.retryAfter)
}

// driverProblem reads what is left: the database has its say, and whatever it
// says, the client is told no names of tables or hosts.
func driverProblem(err error) *Problem {
	kind, retryAfter := kindOfCause(err), 0
	if kind.Status == http.StatusServiceUnavailable {
		retryAfter = 5
	}
	return kind.Problem(kind.Meaning).withRetryAfter(retryAfter)
}

func kindOfCause(err error) Kind {
	var refused sqlStater
	if errors.As(err, &refused) {
		if kind := kindOfSQLState(refused.SQLState()); kind != kindInternal {
			return kind
		}
	}
	network := errors.As(err, new(*net.OpError))
	switch {
	case errors.Is(err, eventstore.ErrUnavailable), network,
		errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return kindUnavailable
	case errors.Is(err, context.DeadlineExceeded):
		return kindTimeout
	}
	return kindInternal
}

// sqlStater is an error of a PostgreSQL driver.
type sqlStater interface {
	error
	SQLState() string
}

// kindOfSQLState reads a PostgreSQL error code. The letters are the codes of
// its manual, appendix A.
func kindOfSQLState(code string) Kind {
	switch code {
	case "42P01", "42703", "42883", "3F000": // no such table, column, function, schema
		return kindDatabaseBehind
	case "57014": // cancelled by statement_timeout
		return kindTimeout
	case "25006", "3D000", "42501": // read-only: a standby, or told to be; no such database; not allowed to
		return kindUnavailable
	}
	if len(code) == 5 {
		switch code[:2] {
		case "08", "53", "57", "58", "28", "40", "55": // connection, resources, operator, system, login, retry, locks
			return kindUnavailable
		}
	}
	return kindInternal
}
