// Package verdict decides, for every store alike, what becomes of an append:
// it is accepted, it is a duplicate, or it is refused. It is pure: the store
// looks up the facts, under its lock, and carries the verdict out.
package verdict

import (
	"bytes"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Stream is the state of a stream before an append.
type Stream struct {
	// Version is the version of its last event, -1 if it was never written.
	Version int64
	// FirstVersion is the version at which its present life began.
	FirstVersion int64
	// Deleted and Tombstoned are as in eventstore.StreamInfo. A tombstoned
	// stream is also deleted.
	Deleted, Tombstoned bool
}

// Known finds the events of the append's stream that have one of the given ids,
// by version.
type Known func(ids []uuid.UUID) []eventstore.RecordedEvent

// Verdict is what becomes of an append that is not refused.
type Verdict struct {
	// Duplicate is the result of the earlier append that this one repeats; nil
	// if the append is accepted.
	Duplicate *eventstore.Appended
}

// Decide judges one append. A refusal is a *ConflictError,
// *StreamDeletedError or *IDReusedError of package eventstore. Known is called
// only if NeedsKnown.
func Decide(s Stream, a eventstore.StreamAppend, known Known) (Verdict, error) {
	refusal := refuse(s, a)
	if !NeedsKnown(s, a) {
		return Verdict{}, refusal
	}
	first, err := repeats(s, a, known(ids(a.Events)))
	switch {
	case err != nil:
		return Verdict{}, err
	case first != nil:
		return Verdict{Duplicate: first}, nil
	default:
		return Verdict{}, refusal
	}
}

// NeedsKnown reports whether the verdict depends on which events of the stream
// are known by id: the caller supplied ids, and the expected version either
// says nothing of what is stored or was not met, as it is not on a retry. Ids
// used again behind a version that is met are left to the store's uniqueness.
func NeedsKnown(s Stream, a eventstore.StreamAppend) bool {
	if len(a.Events) == 0 || a.Events[0].ID == uuid.Nil || s.Version < 0 || s.Tombstoned {
		return false
	}
	_, exact := a.Expected.Exact()
	if exact || a.Expected == eventstore.NoStream {
		return refuse(s, a) != nil
	}
	return true
}

// Whole refuses an append to several streams of which a part is stored and
// another part is not: the one is no retry of the other. Results are those of
// the appends, in their order.
func Whole(appends []eventstore.StreamAppend, results []eventstore.Appended) error {
	first := -1
	fresh := false
	for i, a := range appends {
		switch {
		case len(a.Events) == 0:
		case !results[i].Duplicate:
			fresh = true
		case first < 0:
			first = i
		}
	}
	if first < 0 || !fresh {
		return nil
	}
	return reused(appends[first], appends[first].Events[0].ID, "it is stored, events that go with it to other streams are not")
}

func refuse(s Stream, a eventstore.StreamAppend) error {
	if s.Tombstoned {
		return &eventstore.StreamDeletedError{Stream: a.Stream, Tombstoned: true}
	}
	if a.Expected.Accepts(s.Version, s.Deleted) {
		return nil
	}
	if s.Deleted && a.Expected == eventstore.StreamExists {
		return &eventstore.StreamDeletedError{Stream: a.Stream}
	}
	return &eventstore.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: s.Version}
}

// repeats compares an append with the stored events that share its ids. It
// returns the first append's result if this one repeats it, nil if the append
// must be judged by its expected version alone.
func repeats(s Stream, a eventstore.StreamAppend, stored []eventstore.RecordedEvent) (*eventstore.Appended, error) {
	if len(stored) == 0 {
		return nil, nil
	}
	byID := make(map[uuid.UUID]eventstore.RecordedEvent, len(stored))
	for _, r := range stored {
		byID[r.ID] = r
	}
	start := byID[a.Events[0].ID].Version
	for i, e := range a.Events {
		r, ok := byID[e.ID]
		switch {
		case !ok:
			return nil, reused(a, e.ID, "other events of this append are stored, this one is not")
		case !Same(e, r.Event):
			return nil, reused(a, e.ID, "it is stored with another type, schema version or data")
		case r.Version != start+int64(i):
			return nil, reused(a, e.ID, "it is stored in another order")
		}
	}
	if !atExpectedPlace(s, a.Expected, start) {
		return nil, nil
	}
	last := byID[a.Events[len(a.Events)-1].ID]
	return &eventstore.Appended{
		Stream: a.Stream, Version: last.Version, Position: last.Position, Duplicate: true,
	}, nil
}

// atExpectedPlace reports whether an append that was stored from version start
// is where its expected version would have put it.
func atExpectedPlace(s Stream, expected eventstore.ExpectedVersion, start int64) bool {
	if n, ok := expected.Exact(); ok {
		return start == n+1
	}
	if expected == eventstore.NoStream {
		return start == s.FirstVersion
	}
	return true
}

// Same reports whether two events with one id have the same content. Metadata
// does not count: a retry may carry another trace.
func Same(a, b eventstore.Event) bool {
	return a.Type == b.Type && SchemaVersion(a) == SchemaVersion(b) && bytes.Equal(a.Data, b.Data)
}

// SchemaVersion returns the event's schema version with its default applied.
func SchemaVersion(e eventstore.Event) int {
	if e.SchemaVersion == 0 {
		return 1
	}
	return e.SchemaVersion
}

func reused(a eventstore.StreamAppend, id uuid.UUID, reason string) error {
	return &eventstore.IDReusedError{Stream: a.Stream, ID: id, Reason: reason}
}

func ids(events []eventstore.Event) []uuid.UUID {
	list := make([]uuid.UUID, len(events))
	for i, e := range events {
		list[i] = e.ID
	}
	return list
}
