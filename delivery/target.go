package delivery

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Target delivers events. It is used from several goroutines at once.
type Target interface {
	// Deliver delivers the events of one attempt, in order. Nil says that all are delivered. A *PartialError says
	// which are not; any other error says that it does not know of any that it is. See Permanent,
	// Throttled, Gone and Stop for what an error may say besides.
	//
	// It returns soon after ctx is done. It may be called again with events that it has delivered.
	Deliver(ctx context.Context, d *Delivery) error
}

// Delivery is one attempt.
type Delivery struct {
	Subscription string
	// Events are at least one. All are of one key, or the first in line of theirs.
	Events []Event
	// Epoch and the positions of events only grow, per partition, whatever process delivers: who must not
	// see an old owner after a new one compares the epochs.
	Partition int
	Epoch     int64
	// Log is the log and the incarnation that the positions are of; its Position says nothing.
	Log eventstore.Token
	// Replay names the replay that it is of; empty: it is none.
	Replay string
	// Exchange is for the Target to fill in, if it likes: it is kept with the attempt.
	Exchange Exchange
}

// Exchange is a request as it was sent, and its answer.
type Exchange struct {
	// Sent are the headers as a JSON object, without secrets.
	Sent string
	// Status is that of HTTP; 0: there was no answer.
	Status int
	// Answer is what the body begins with, as in ResponseError.
	Answer string
}

// Event is an event as it is delivered.
type Event struct {
	*eventstore.RecordedEvent
	// MessageID identifies the event among those of all streams and logs: see MessageID.
	MessageID uuid.UUID
	// Key is by what the event is kept in order.
	Key string
	// Attempt counts those of the event, from 1. Probes of a target that was taken for down are not counted, nor attempts whose Outcome is not
	// Counted.
	Attempt int
	// Tried says that an attempt before has not delivered it, counted or not, as far as is known: one that a crash ended is not.
	Tried bool
	// Enriched is what was found for the event, a JSON object by the names of Definition.Enrich; nil: nothing, or there is a Transform, which has
	// said what of it is in the data.
	Enriched jsontext.Value
	// Redrive says that an operator let a dead letter be tried again: later events of its key may have been
	// delivered before.
	Redrive bool
	// Replay is that of the Delivery.
	Replay string
	// Subscription is that of the Delivery, of an event that a Handler has.
	Subscription string
	// looked is what became of its lookups; nil: they are not made yet.
	looked *looked
}

// MessageID returns the id of an event for receivers, who may know events of several streams and logs: ids
// of events are unique in their stream only. It is the UUIDv5 of stream, NUL and event id in the namespace
// of the log's id.
func MessageID(log uuid.UUID, e *eventstore.RecordedEvent) uuid.UUID {
	// As uuid.NewSHA1 does it, without what that allocates: each event that is delivered has one.
	var room [16 + 128 + 1 + 36]byte
	name := append(append(append(room[:0], log[:]...), e.Stream...), 0)
	for i, part := range [...][]byte{e.ID[:4], e.ID[4:6], e.ID[6:8], e.ID[8:10], e.ID[10:]} { // as e.ID.String()
		if i > 0 {
			name = append(name, '-')
		}
		name = hex.AppendEncode(name, part)
	}
	sum := sha1.Sum(name)
	message := uuid.UUID(sum[:16])
	message[6] = message[6]&0x0f | 5<<4
	message[8] = message[8]&0x3f | 0x80
	return message
}

// PartialError says that some events of a batch are not delivered. What is of the key of one that is not,
// and behind it, counts as not delivered either.
type PartialError struct {
	// Failed has why, by the index in Delivery.Events.
	Failed map[int]error
}

func (e *PartialError) Error() string {
	for i, err := range e.Failed {
		if len(e.Failed) == 1 {
			return fmt.Sprintf("event %d of the batch: %v", i, err)
		}
	}
	return fmt.Sprintf("%d events of the batch failed", len(e.Failed))
}

// ResponseError says that a target answered, and took nothing.
type ResponseError struct {
	// Protocol is the one that Status is of, such as smtp. Default: http.
	Protocol string
	Status   int
	// Detail says what the status does not; it may be empty.
	Detail string
	// Answer is what the body begins with: text of at most 4 KiB, without the secrets that were sent.
	Answer string
}

func (e *ResponseError) Error() string {
	text := fmt.Sprintf("the target answered %d", e.Status)
	if e.Protocol == "" {
		text = strings.TrimSpace(text + " " + http.StatusText(e.Status))
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Outcome is what an error of a Target means.
type Outcome int

const (
	// Done: it is delivered.
	Done Outcome = iota
	// Transient: it failed, and may succeed later.
	Transient
	// PermanentFailure: it failed, and would again.
	PermanentFailure
	// ThrottledOutcome: the target takes nothing for a time. The event did not fail.
	ThrottledOutcome
	// GoneOutcome: the target does not want events any more. The subscription stops.
	GoneOutcome
	// StopOutcome: the subscription is to stop.
	StopOutcome
	// Undecodable: this program cannot read the event, and another may.
	Undecodable
	// PostponedOutcome: the event is to wait, and others are not. It did not fail.
	PostponedOutcome
)

var outcomeNames = [...]string{"done", "transient", "permanent", "throttled", "gone", "stop", "undecodable", "postponed"}

// Counted reports whether an attempt that ended so is one of those of the event: it was tried, and is delivered or has failed.
func (o Outcome) Counted() bool { return o <= PermanentFailure }

// String returns the outcome as one lower-case word.
func (o Outcome) String() string { return outcomeNames[o] }

type outcomeError struct {
	error
	outcome Outcome
	after   time.Duration
}

func (e *outcomeError) Unwrap() error { return e.error }

// Permanent returns an error that says that the event would fail again: it is a dead letter at once if it
// is charged.
func Permanent(err error) error { return &outcomeError{err, PermanentFailure, 0} }

// RetryAfter returns an error that says that the event may succeed, and not before a time.
func RetryAfter(err error, after time.Duration) error { return &outcomeError{err, Transient, after} }

// Elsewhere returns an error that says that this program cannot deliver the event, and another may: the subscription is left to that. If there
// is none the event waits for a program that can, as Postponed says.
func Elsewhere(err error, after time.Duration) error { return &outcomeError{err, Undecodable, after} }

// Throttled returns an error that says that the target takes nothing for a time; 0: it did not say for how long.
func Throttled(err error, after time.Duration) error {
	return &outcomeError{err, ThrottledOutcome, after}
}

// Postponed returns an error that says that the event is to wait at least for a time, and longer each time that it is said again. It has not
// failed, and others of its subscription go on.
func Postponed(err error, after time.Duration) error {
	return &outcomeError{err, PostponedOutcome, after}
}

// Gone returns an error that says that the target wants no events any more.
func Gone(err error) error { return &outcomeError{err, GoneOutcome, 0} }

// Stop returns an error that stops the subscription until an operator resumes it.
func Stop(err error) error { return &outcomeError{err, StopOutcome, 0} }

// OutcomeOf returns what an error of a Target means, and how long to wait, 0 if it does not say. An error that
// says nothing is judged by eventstore.ClassOf: what can never succeed is permanent, the rest transient.
func OutcomeOf(err error) (Outcome, time.Duration) {
	var said *outcomeError
	switch {
	case err == nil:
		return Done, 0
	case errors.As(err, &said):
		return said.outcome, said.after
	}
	switch eventstore.ClassOf(err) {
	case eventstore.ClassUnknownSchema:
		return Undecodable, 0
	case eventstore.ClassRejected, eventstore.ClassInvalid, eventstore.ClassTooLarge, eventstore.ClassUnreadable, eventstore.ClassReused,
		eventstore.ClassDeleted, eventstore.ClassNotSupported:
		return PermanentFailure, 0
	}
	return Transient, 0
}
