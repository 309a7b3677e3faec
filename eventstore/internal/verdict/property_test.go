package verdict

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

// history is a stream that keeps what is accepted, and what was answered.
type history struct {
	stream   Stream
	events   []eventstore.RecordedEvent
	accepted []accepted
}

type accepted struct {
	eventstore.StreamAppend
	result eventstore.Appended
	// life is the version at which the stream's life then began.
	life int64
}

func (h *history) known(ids []uuid.UUID) []eventstore.RecordedEvent {
	var list []eventstore.RecordedEvent
	for _, e := range h.events {
		if slices.Contains(ids, e.ID) {
			list = append(list, e)
		}
	}
	return list
}

func (h *history) write(a eventstore.StreamAppend) {
	if h.stream.Deleted {
		h.stream.FirstVersion, h.stream.Deleted = h.stream.Version+1, false
	}
	for _, e := range a.Events {
		h.stream.Version++
		h.events = append(h.events, eventstore.RecordedEvent{
			Event: e, Stream: a.Stream, Version: h.stream.Version, Position: int64(len(h.events)) + 1,
		})
	}
	result := eventstore.Appended{Stream: a.Stream, Version: h.stream.Version, Position: int64(len(h.events)), Duplicate: true}
	h.accepted = append(h.accepted, accepted{a, result, h.stream.FirstVersion})
}

// Whatever happened to a stream since, a retry never writes, and an append with
// ids of its own is judged by its expected version alone.
func TestRetriesAndNewAppends(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{stream: Stream{Version: -1}}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) { h.append(t) },
			"retry":  func(t *rapid.T) { h.retry(t) },
			"delete": func(t *rapid.T) {
				if h.stream.Version < 0 || h.stream.Deleted {
					t.Skip("nothing to delete")
				}
				h.stream.Version++
				h.stream.FirstVersion, h.stream.Deleted = h.stream.Version+1, true
			},
		})
	})
}

func (h *history) append(t *rapid.T) {
	expected := rapid.SampledFrom([]eventstore.ExpectedVersion{
		eventstore.Any, eventstore.NoStream, eventstore.StreamExists, eventstore.Exact(rapid.Int64Range(-1, h.stream.Version+1).Draw(t, "version")),
	}).Draw(t, "expected")
	a := appendOf(expected)
	for range rapid.IntRange(1, 3).Draw(t, "events") {
		a.Events = append(a.Events, event("x"))
	}
	v, err := Decide(h.stream, a, h.known)
	if v.Duplicate != nil || (err == nil) != expected.Accepts(h.stream.Version, h.stream.Deleted) {
		t.Fatalf("an append with new ids expecting %s at %+v: %+v, %v", expected, h.stream, v.Duplicate, err)
	}
	if err == nil {
		h.write(a)
	}
}

func (h *history) retry(t *rapid.T) {
	if len(h.accepted) == 0 {
		t.Skip("nothing to retry")
	}
	a := rapid.SampledFrom(h.accepted).Draw(t, "accepted")
	v, err := Decide(h.stream, a.StreamAppend, h.known)
	switch {
	case a.Expected == eventstore.NoStream && h.stream.Deleted:
		// The version is met, so the store's uniqueness must refuse it.
		if err != nil || v.Duplicate != nil {
			t.Fatalf("a retry expecting no stream, which is deleted: %+v, %v", v.Duplicate, err)
		}
	case a.Expected == eventstore.NoStream && a.life != h.stream.FirstVersion:
		if !errors.Is(err, eventstore.ErrConflict) {
			t.Fatalf("a retry expecting no stream, in another life: %+v, %v", v.Duplicate, err)
		}
	case err != nil || v.Duplicate == nil || *v.Duplicate != a.result:
		t.Fatalf("a retry expecting %s at %+v: %+v, %v; want %+v", a.Expected, h.stream, v.Duplicate, err, a.result)
	}
}
