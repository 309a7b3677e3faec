package commands

import (
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Command is a request to the aggregate with state S and events E.
type Command[S, E any] interface {
	// Decide returns the events that the command causes in the given state, in
	// order; none if there is nothing to do. An error refuses the command;
	// events beside it are ignored.
	//
	// Decide is pure: it reads no clock, draws no ids, and changes neither the
	// state nor the command. It may be called several times.
	Decide(state S) ([]E, error)
}

// Creator is implemented by commands that only a stream which does not exist accepts, as a rule.
// They are decided from the zero state before anything is read, and their events demand that there
// is no stream. If there is one, or they decide nothing that an append would check, the stream is
// loaded and they are decided again: a command that is no Creator in truth is slower, and not
// wrong.
type Creator interface {
	// CreatesStream does nothing.
	CreatesStream()
}

// Event is an event of the aggregate with state S.
type Event[S any] interface {
	// Evolve returns the state after the event. It never fails, and never
	// writes into what the given state or the event refer to: maps and slices
	// are cloned before they are changed.
	Evolve(state S) S
}

// Options are the choices that go with one command. All may be left out.
type Options struct {
	// Expected is what the caller demands of the stream's version before the
	// command is decided, as in HTTP's If-Match. A stream that is deleted counts
	// as one that does not exist. If the demand is not met the error is an
	// *eventstore.ConflictError with this Expected. Default: eventstore.Any.
	Expected eventstore.ExpectedVersion
	// Receipt makes the command idempotent. Default: none.
	Receipt *ReceiptRequest
	// DryRun decides from the latest state and writes nothing, not even a receipt: Result.Planned
	// is what would be appended. Nobody observes it.
	DryRun bool

	// CorrelationID names the business transaction that the command is part of.
	// Default: a new UUID (version 7).
	CorrelationID string
	// CausationID names what caused the command: the id of a request or of an
	// event. Default: none.
	CausationID string
	// Actor says on whose behalf the command runs. Default: none.
	Actor string
	// Via says what of the program runs the command for an event, such as a
	// subscription. Default: nothing does.
	Via string
	// At is the business time of the command, where it differs from the time
	// of recording, to the microsecond. Default: none.
	At time.Time
	// TraceParent and TraceState are the W3C trace context. Default: none.
	TraceParent, TraceState string
}

// ReceiptRequest asks for a command to be carried out once. The store must
// declare eventstore.Features.Receipts.
type ReceiptRequest struct {
	// Scope and Key identify the request, e.g. a principal with a route, and
	// the idempotency key that came with it. 1–255 bytes each.
	Scope, Key string
	// Fingerprint tells the request from others under the same key, e.g. a hash
	// of its body. At most 64 bytes.
	Fingerprint []byte
	// AcceptedOnly keeps no receipt of a refusal: sent again the command is decided again. Default: a refusal is kept,
	// and repeated.
	AcceptedOnly bool
	// Answer returns what to keep with the receipt; refusal is the error of
	// Decide, nil if the command is accepted. It comes back in Result.Answer or
	// RejectedError.Answer, now and on every replay.
	//
	// It is called before the append, maybe several times and for outcomes
	// that do not come to pass, while other commands on the stream wait: it
	// must be quick and must not call the handler. Default: nothing is kept
	// but the outcome.
	Answer func(refusal error) Answer
}

// Answer is what a receipt keeps for its caller, beside whether the command was accepted.
type Answer struct {
	// Code is a number of the caller's, not negative, such as the status of HTTP.
	Code int
	// Body has at most MaxAnswerBytes.
	Body []byte
}

// Result is the outcome of a command or a unit that was accepted.
type Result struct {
	// Stream is the stream that the command ran on; of a unit, the one that it
	// asked for first. For a replay it is that of the first request.
	Stream string
	// Version is the version of the last event written to Stream, or the version
	// it was at if there was nothing to write (-1: no stream).
	Version int64
	// Position is the position of the last event written, 0 if none was.
	Position int64
	// Token marks the place in the log after which readers see the events
	// written, and those that the decision rests on.
	Token eventstore.Token
	// Streams are Stream and the others of a unit, in the order in which it asked
	// for them. One whose Position is 0 was read, and nothing written to it.
	Streams []eventstore.Appended
	// Answer is what ReceiptRequest.Answer returned; on a replay, what it
	// returned the first time.
	Answer Answer
	// Replayed says that the request had been carried out before and nothing
	// was done now.
	Replayed bool
	// Duplicate says that the events had been stored before, by an append without a receipt: nothing was done now.
	Duplicate bool
	// Planned is what a dry run would have appended.
	Planned []eventstore.StreamAppend
}
