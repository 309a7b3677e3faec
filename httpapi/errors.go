package httpapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/projections"
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
	var rejected *commands.RejectedError
	if errors.As(err, &rejected) && rejected.Answer.Code != 0 {
		// A receipt keeps the problem as it was the first time.
		return &Problem{Status: rejected.Answer.Code, rendered: rejected.Answer.Body, replayed: rejected.Replayed}
	}
	p := *x.translate(err) // a copy: a handler may return the same problem twice
	if p.Status == http.StatusServiceUnavailable {
		p.Hint = cmp.Or(x.api.config.Hint(err), p.Hint)
	}
	p.Errors = withinBody(x.within, p.Errors)
	p.Instance = sanitize(x.r.URL.EscapedPath())
	p.RequestID = x.requestID
	p.TraceID = x.traceID
	return &p
}

// withinBody puts a place in front of the pointers.
func withinBody(place string, list []FieldError) []FieldError {
	if place == "" {
		return list
	}
	list = slices.Clone(list)
	for i, e := range list {
		if e.Pointer != nil {
			pointer := place + *e.Pointer
			list[i].Pointer = &pointer
		}
	}
	return list
}

// translate is the one place where errors get their status and code.
func (x *exchange) translate(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	if p := securityProblem(err); p != nil {
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
	if eventstore.ClassOf(err) == eventstore.ClassCancelled && x.r.Context().Err() != nil {
		return kindClientClosed.Problem("The client closed the connection before the answer was ready.")
	}
	return outcomeOf(err).problem(err)
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
	return PreconditionFailed(c)
}

// PreconditionFailed is the problem of a demand of the client's own that a stream does not meet, wherever in the request it is.
func PreconditionFailed(c *eventstore.ConflictError) *Problem {
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
	kind Kind
	// tell says that the error's text is of use to the client and fit for it.
	tell bool
	// retryAfter is in seconds; 0: repeating it is of no use.
	retryAfter int
}

// ofErrors are the errors that say more to a client than their class does.
var ofErrors = []struct {
	err error
	outcome
}{
	{eventstore.ErrReceiptMismatch, outcome{kind: kindIdempotencyKeyReused, tell: true}},
	{eventstore.ErrInvalidToken, outcome{kind: kindInvalidToken, tell: true}},
	{commands.ErrTruncated, outcome{kind: kindTruncated, tell: true}},
	{projections.ErrAhead, outcome{kind: kindAhead, tell: true}},
	{projections.ErrLongHistory, outcome{kind: kindLongHistory, tell: true}},
	{queries.ErrInvalidCursor, outcome{kind: kindInvalidCursor}},
	{queries.ErrInvalidQuery, outcome{kind: kindInvalidParameter, tell: true}},
	{queries.ErrInMemory, outcome{kind: kindNotSupported, tell: true}},
}

// ofClasses are what all other errors are. The text of those that a database or a network has a
// part in is not for clients: it has names of tables and hosts.
var ofClasses = map[eventstore.Class]outcome{
	eventstore.ClassRejected:        {kind: kindRejected, tell: true},
	eventstore.ClassOutcomeUnknown:  {kind: kindOutcomeUnknown, retryAfter: 1},
	eventstore.ClassTooLarge:        {kind: kindInvalidRequest, tell: true},
	eventstore.ClassInvalid:         {kind: kindInvalidRequest, tell: true},
	eventstore.ClassConflict:        {kind: kindConflict, retryAfter: 1},
	eventstore.ClassKnown:           {kind: kindInternal},
	eventstore.ClassReused:          {kind: kindEventIDReused, tell: true},
	eventstore.ClassDeleted:         {kind: kindDeleted, tell: true},
	eventstore.ClassNotFound:        {kind: kindNotFound},
	eventstore.ClassNotSupported:    {kind: kindNotSupported},
	eventstore.ClassWrongLog:        {kind: kindLogChanged, tell: true},
	eventstore.ClassCorrupt:         {kind: kindLogDamaged},
	eventstore.ClassUnknownSchema:   {kind: kindEventUnreadable, retryAfter: 5},
	eventstore.ClassUnreadable:      {kind: kindHistoryUnreadable},
	eventstore.ClassAppendsDisabled: {kind: kindLogNotAdopted},
	eventstore.ClassReadOnly:        {kind: kindUnavailable, retryAfter: 5},
	eventstore.ClassOverloaded:      {kind: kindOverloaded, retryAfter: 1},
	eventstore.ClassClosed:          {kind: kindShuttingDown, retryAfter: 5},
	eventstore.ClassBehind:          {kind: kindProjectionBehind, retryAfter: 1},
	eventstore.ClassCancelled:       {kind: kindInternal},
	eventstore.ClassUnavailable:     {kind: kindUnavailable, retryAfter: 5},
	eventstore.ClassTimeout:         {kind: kindTimeout, retryAfter: 5},
	eventstore.ClassInternal:        {kind: kindInternal},
}

func outcomeOf(err error) outcome {
	for _, o := range ofErrors {
		if errors.Is(err, o.err) {
			return o.outcome
		}
	}
	if pgerr.LacksTables(err) {
		return outcome{kind: kindDatabaseBehind, retryAfter: 5}
	}
	return ofClasses[eventstore.ClassOf(err)]
}

func (o outcome) problem(err error) *Problem {
	detail := o.kind.Meaning
	var event *commands.EventError
	switch {
	case o.tell:
		detail = err.Error()
	case o.kind == kindEventUnreadable && errors.As(err, &event):
		detail = fmt.Sprintf("Event %d of stream %q has the type %q in schema version %d, which this version of the server does not know. Nothing was written.",
			event.Version, event.Stream, event.Type, event.SchemaVersion)
	}
	return o.kind.Problem(detail).withRetryAfter(o.retryAfter)
}
