package logcheck

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// History is what clients and readers of one log did and were told, in no
// particular order.
type History struct {
	Appends []Append
	Reads   []Read
	Batches []Batch
}

// Outcome is what a client knows of its append.
type Outcome string

const (
	// Acked appends were confirmed.
	Acked Outcome = "acked"
	// Conflicted appends were refused because of the stream's version.
	Conflicted Outcome = "conflict"
	// Refused appends were refused for another reason: nothing was written.
	Refused Outcome = "refused"
	// Unknown appends may have been written, or may yet be. So is every append
	// that has no answer.
	Unknown Outcome = "unknown"
)

// Expected is eventstore.ExpectedVersion in a form that can be written down: a
// version from 0, or one of the constants.
type Expected int64

// The demands that are no version.
const (
	NoStream     Expected = -1
	AnyVersion   Expected = -2
	StreamExists Expected = -3
)

// ExpectedOf translates a demand.
func ExpectedOf(e eventstore.ExpectedVersion) Expected {
	version, exact := e.Exact()
	switch {
	case exact:
		return Expected(version)
	case e == eventstore.NoStream:
		return NoStream
	case e == eventstore.StreamExists:
		return StreamExists
	default:
		return AnyVersion
	}
}

func (e Expected) String() string {
	switch e {
	case NoStream:
		return "no stream"
	case AnyVersion:
		return "any version"
	case StreamExists:
		return "an existing stream"
	default:
		return fmt.Sprintf("version %d", int64(e))
	}
}

// Append is one attempt of a client to append to one stream. A retry is another
// Append with the same ids.
type Append struct {
	// Client and Op name the operation. Op is unique in a recorder.
	Client string `json:"client"`
	Op     int64  `json:"op"`
	// Together, if set, is shared by the Appends of a client that were one append
	// to several streams.
	Together int64    `json:"together,omitempty"`
	Stream   string   `json:"stream"`
	Expected Expected `json:"expected"`
	// IDs are what the client knows its events by: their ids, or what the Log was
	// told to identify events by. Without them little can be checked.
	IDs []uuid.UUID `json:"ids,omitempty"`
	// Content is ContentOf the events. 0: it is not compared.
	Content uint64 `json:"content,omitempty"`
	// Receipt is the idempotency key, with its scope. Empty: there was none.
	Receipt string `json:"receipt,omitempty"`
	// Start and End are by Now, in nanoseconds.
	Start int64 `json:"start"`
	End   int64 `json:"-"`

	Outcome Outcome `json:"-"`
	// Version is that of the last event written, or the one the stream was at if
	// that was a conflict. Position is that of the last event written, 0 if the
	// client was not told.
	Version  int64 `json:"-"`
	Position int64 `json:"-"`
	// Incarnation is that of the log that acknowledged it. 0: not told.
	Incarnation int64 `json:"-"`
	// Duplicate says that the client was told that it had been stored before.
	Duplicate bool `json:"-"`
	// Reused says that it was refused for an id that was used for something else.
	Reused bool `json:"-"`
	// Strange is what the client was told instead of an error of the contract.
	Strange string `json:"-"`
}

func (a *Append) String() string {
	return fmt.Sprintf("append %d of %s to %q expecting %s", a.Op, a.Client, a.Stream, a.Expected)
}

// Read is a read of a stream to its end.
type Read struct {
	Client string `json:"client"`
	Op     int64  `json:"op"`
	Stream string `json:"stream"`
	// From is the version of the first event that was shown, Version of the last.
	// Version -1: the stream was not found.
	From    int64 `json:"from,omitempty"`
	Version int64 `json:"version"`
	// Chain is of the ids of the events shown. 0: it is not compared.
	Chain Chain `json:"chain,omitempty"`
	Start int64 `json:"start"`
	End   int64 `json:"end"`
}

func (r *Read) String() string {
	return fmt.Sprintf("read %d of %s of %q at version %d", r.Op, r.Client, r.Stream, r.Version)
}

// Batch is what a subscription or another reader of the log was given at once. A
// reader that polls records what each poll returned.
type Batch struct {
	// Reader names the reader, Session counts its starts, from 1. The batches of a
	// session are in the order of the history.
	Reader  string `json:"reader"`
	Session int    `json:"session"`
	// From is the position at which this batch had to begin: where the session
	// began, or Next of the batch before. Next is the one to go on from.
	From int64 `json:"from"`
	Next int64 `json:"next"`
	// Positions are those of the events, as spans from first to last.
	Positions []Span `json:"positions,omitempty"`
	// Chain is of the ids of the events.
	Chain Chain `json:"chain,omitempty"`
	// Incarnation is that of the log that it came from. 0: not told.
	Incarnation int64 `json:"incarnation,omitempty"`
}

// Span is a run of positions, both ends included.
type Span struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
}

// BatchOf returns the record of what a subscription delivered.
func BatchOf(reader string, session int, from int64, b eventstore.Batch) Batch {
	r := Batch{Reader: reader, Session: session, From: from, Next: b.Next, Incarnation: b.Head.Incarnation}
	for i := range b.Events {
		r.add(b.Events[i].Position, b.Events[i].ID)
	}
	return r
}

func (b *Batch) add(position int64, id uuid.UUID) {
	b.Chain = b.Chain.Add(id)
	if n := len(b.Positions); n > 0 && b.Positions[n-1].Last+1 == position {
		b.Positions[n-1].Last = position
		return
	}
	b.Positions = append(b.Positions, Span{position, position})
}

// Chain identifies a sequence of events by their ids: the FNV-1a hash of all of
// them, one after the other.
type Chain uint64

// Add returns the chain with one event more.
func (c Chain) Add(id uuid.UUID) Chain {
	if c == 0 {
		c = 14695981039346656037
	}
	for _, b := range id {
		c = (c ^ Chain(b)) * 1099511628211
	}
	return c
}

// ContentOf identifies what events say: their types, data and metadata.
func ContentOf(events ...eventstore.Event) (content uint64) {
	for i := range events {
		content = addContent(content, contentOf(&events[i]))
	}
	return content
}

func addContent(sum, next uint64) uint64 { return (sum^next)*1099511628211 + 1 }

func contentOf(e *eventstore.Event) uint64 {
	sum := uint64(14695981039346656037)
	for _, part := range [][]byte{[]byte(e.Type), e.Data, e.Metadata} {
		sum = (sum ^ uint64(len(part))) * 1099511628211
		for _, b := range part {
			sum = (sum ^ uint64(b)) * 1099511628211
		}
	}
	return sum
}

// outcomeOf says what a client knows from the error of an append.
func outcomeOf(err error) Outcome {
	var conflict *eventstore.ConflictError
	switch {
	case err == nil:
		return Acked
	case errors.As(err, &conflict):
		return Conflicted
	case errors.Is(err, eventstore.ErrOutcomeUnknown):
		return Unknown
	}
	if isAny(err, eventstore.ErrInvalid, eventstore.ErrIDReused, eventstore.ErrStreamDeleted, eventstore.ErrStreamNotFound,
		eventstore.ErrReceiptKnown, eventstore.ErrReceiptMismatch, eventstore.ErrOverloaded, eventstore.ErrUnavailable, eventstore.ErrNotSupported) {
		return Refused
	}
	return Unknown
}

// strange returns the text of an error that no append may end with, of those
// whose outcome nobody can tell.
func strange(err error) string {
	if outcomeOf(err) != Unknown || isAny(err, eventstore.ErrOutcomeUnknown, eventstore.ErrClosed, context.Canceled, context.DeadlineExceeded) {
		return ""
	}
	return err.Error()
}

func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
}

const never = math.MaxInt64

// epoch anchors Now: within a process it does not follow the wall clock's steps.
var epoch = time.Now()

// Now returns the time of a history in nanoseconds. Histories of several
// processes fit together if they are of one machine whose clock was not set
// between their starts.
func Now() int64 { return epoch.UnixNano() + int64(time.Since(epoch)) }
