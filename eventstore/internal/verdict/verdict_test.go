package verdict

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// A stream of five events: a, then b and c in one append, then d and e.
var (
	a, b, c, d, e = event("a"), event("b"), event("c"), event("d"), event("e")
	fresh         = event("fresh")
	five          = Stream{Version: 4}
)

func event(data string) eventstore.Event {
	return eventstore.Event{ID: uuid.New(), Type: "Happened", SchemaVersion: 1, Data: []byte(data)}
}

func known(ids []uuid.UUID) []eventstore.RecordedEvent {
	var list []eventstore.RecordedEvent
	for version, stored := range []eventstore.Event{a, b, c, d, e} {
		if slices.Contains(ids, stored.ID) {
			list = append(list, eventstore.RecordedEvent{Event: stored, Stream: "s-1", Version: int64(version), Position: 100 + int64(version)})
		}
	}
	// The order in which a store finds them does not matter.
	slices.Reverse(list)
	return list
}

func appendOf(expected eventstore.ExpectedVersion, events ...eventstore.Event) eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: "s-1", Expected: expected, Events: events}
}

func with(e eventstore.Event, change func(*eventstore.Event)) eventstore.Event {
	change(&e)
	return e
}

var (
	otherData     = with(b, func(e *eventstore.Event) { e.Data = []byte("B") })
	otherType     = with(b, func(e *eventstore.Event) { e.Type = "HappenedNot" })
	otherVersion  = with(b, func(e *eventstore.Event) { e.SchemaVersion = 2 })
	otherMetadata = with(b, func(e *eventstore.Event) { e.Metadata, e.SchemaVersion = []byte("trace"), 0 })
	anonymous     = with(b, func(e *eventstore.Event) { e.ID = uuid.Nil })
)

func TestDecide(t *testing.T) {
	const accepted, refused = int64(-1), int64(-2) // else: a duplicate of this version
	var (
		missing    = Stream{Version: -1}
		deleted    = Stream{Version: 4, FirstVersion: 5, Deleted: true}
		tombstoned = Stream{Version: 4, FirstVersion: 5, Deleted: true, Tombstoned: true}
		secondLife = Stream{Version: 4, FirstVersion: 3}

		exists, exact = eventstore.StreamExists, eventstore.Exact
		anyVersion    = eventstore.Any
		none          = eventstore.NoStream
		conflict      = eventstore.ErrConflict
		isDeleted     = eventstore.ErrStreamDeleted
		idReused      = eventstore.ErrIDReused
	)
	for _, c := range []struct {
		what   string
		stream Stream
		append eventstore.StreamAppend
		want   int64
		err    error
	}{
		{"any, missing", missing, appendOf(anyVersion, fresh), accepted, nil},
		{"any, there", five, appendOf(anyVersion, fresh), accepted, nil},
		{"any, deleted", deleted, appendOf(anyVersion, fresh), accepted, nil},
		{"any, tombstoned", tombstoned, appendOf(anyVersion, fresh), refused, isDeleted},
		{"none, missing", missing, appendOf(none, fresh), accepted, nil},
		{"none, there", five, appendOf(none, fresh), refused, conflict},
		{"none, deleted", deleted, appendOf(none, fresh), accepted, nil},
		{"none, tombstoned", tombstoned, appendOf(none, fresh), refused, isDeleted},
		{"exists, missing", missing, appendOf(exists, fresh), refused, conflict},
		{"exists, there", five, appendOf(exists, fresh), accepted, nil},
		{"exists, deleted", deleted, appendOf(exists, fresh), refused, isDeleted},
		{"exact, missing", missing, appendOf(exact(0), fresh), refused, conflict},
		{"exact, met", five, appendOf(exact(4), fresh), accepted, nil},
		{"exact, below", five, appendOf(exact(3), fresh), refused, conflict},
		{"exact, above", five, appendOf(exact(5), fresh), refused, conflict},
		{"exact, deleted", deleted, appendOf(exact(4), fresh), accepted, nil},
		{"exact, tombstoned", tombstoned, appendOf(exact(4), fresh), refused, isDeleted},
		{"no events", five, appendOf(exact(4)), accepted, nil},
		{"no events at a stale version", five, appendOf(exact(3)), refused, conflict},
		{"no events, tombstoned", tombstoned, appendOf(anyVersion), refused, isDeleted},

		{"any again", five, appendOf(anyVersion, b, c), 2, nil},
		{"exists again", five, appendOf(exists, b, c), 2, nil},
		{"exact again", five, appendOf(exact(0), b, c), 2, nil},
		{"exact again, the last", five, appendOf(exact(2), d, e), 4, nil},
		{"none again", five, appendOf(none, a), 0, nil},
		{"Exact(-1) again", five, appendOf(exact(-1), a), 0, nil},
		{"again with other metadata", five, appendOf(exact(0), otherMetadata, c), 2, nil},
		{"again when deleted", deleted, appendOf(exists, b, c), 2, nil},
		{"again when tombstoned", tombstoned, appendOf(exact(0), b, c), refused, isDeleted},
		{"none again in the life that it began", secondLife, appendOf(none, d, e), 4, nil},
		{"none from the life before", secondLife, appendOf(none, a), refused, conflict},

		{"without an id", five, appendOf(anyVersion, anonymous), accepted, nil},
		{"without an id, stale", five, appendOf(exact(0), anonymous), refused, conflict},
		{"stored elsewhere", five, appendOf(exact(1), b, c), refused, conflict},
		{"none, stored behind", five, appendOf(none, b, c), refused, conflict},

		{"other data", five, appendOf(anyVersion, otherData, c), refused, idReused},
		{"other type", five, appendOf(exists, otherType, c), refused, idReused},
		{"other schema version", five, appendOf(exact(0), otherVersion, c), refused, idReused},
		{"more than is stored", five, appendOf(anyVersion, d, e, fresh), refused, idReused},
		{"more than is stored, exact", five, appendOf(exact(2), d, e, fresh), refused, idReused},
		{"new before stored", five, appendOf(anyVersion, fresh, a), refused, idReused},
		{"turned around", five, appendOf(anyVersion, c, b), refused, idReused},
		{"with a hole", five, appendOf(anyVersion, a, c), refused, idReused},
	} {
		v, err := Decide(c.stream, c.append, known)
		switch {
		case c.want == refused:
			if !errors.Is(err, c.err) || v.Duplicate != nil {
				t.Errorf("%s: %+v, %v; want %v", c.what, v.Duplicate, err, c.err)
			}
		case err != nil || (v.Duplicate == nil) != (c.want == accepted):
			t.Errorf("%s: %+v, %v; want version %d", c.what, v.Duplicate, err, c.want)
		case v.Duplicate != nil:
			want := eventstore.Appended{Stream: "s-1", Version: c.want, Position: 100 + c.want, Duplicate: true}
			if *v.Duplicate != want {
				t.Errorf("%s: %+v, want %+v", c.what, *v.Duplicate, want)
			}
		}
	}
}

// The look-up costs a round trip under the lock: only a verdict that depends on
// it may ask for it.
func TestDecideLooksUpOnlyWhatItNeeds(t *testing.T) {
	for _, c := range []struct {
		stream Stream
		append eventstore.StreamAppend
		want   bool
	}{
		{five, appendOf(eventstore.Any, fresh), true},
		{five, appendOf(eventstore.StreamExists, fresh), true},
		{five, appendOf(eventstore.Exact(3), fresh), true},
		{five, appendOf(eventstore.NoStream, fresh), true},
		{five, appendOf(eventstore.Exact(4), fresh), false},
		{five, appendOf(eventstore.Any, anonymous), false},
		{five, appendOf(eventstore.Exact(3), anonymous), false},
		{five, appendOf(eventstore.Any), false},
		{Stream{Version: -1}, appendOf(eventstore.Any, fresh), false},
		{Stream{Version: -1}, appendOf(eventstore.Exact(3), fresh), false},
		{Stream{Version: 4, Deleted: true}, appendOf(eventstore.NoStream, fresh), false},
		{Stream{Version: 4, Deleted: true}, appendOf(eventstore.Any, fresh), true},
		{Stream{Version: 4, Deleted: true, Tombstoned: true}, appendOf(eventstore.Any, fresh), false},
	} {
		asked := false
		_, _ = Decide(c.stream, c.append, func(ids []uuid.UUID) []eventstore.RecordedEvent {
			if asked = true; len(ids) != 1 || ids[0] != fresh.ID {
				t.Errorf("%+v: asked for %v, want the id of the append's event", c.append, ids)
			}
			return nil
		})
		if needs := NeedsKnown(c.stream, c.append); asked != c.want || needs != c.want {
			t.Errorf("%+v at %+v: looked up: %t, NeedsKnown: %t; want %t", c.append, c.stream, asked, needs, c.want)
		}
	}
}

func TestWhole(t *testing.T) {
	stored := eventstore.Appended{Duplicate: true}
	written := eventstore.Appended{}
	full, empty := appendOf(eventstore.Any, fresh), appendOf(eventstore.Any)
	for i, c := range []struct {
		appends []eventstore.StreamAppend
		results []eventstore.Appended
		whole   bool
	}{
		{[]eventstore.StreamAppend{full}, []eventstore.Appended{stored}, true},
		{[]eventstore.StreamAppend{full, full}, []eventstore.Appended{written, written}, true},
		{[]eventstore.StreamAppend{full, full}, []eventstore.Appended{stored, stored}, true},
		{[]eventstore.StreamAppend{full, full}, []eventstore.Appended{stored, written}, false},
		{[]eventstore.StreamAppend{full, full}, []eventstore.Appended{written, stored}, false},
		// An append of no events is never stored, so it says nothing.
		{[]eventstore.StreamAppend{empty, full}, []eventstore.Appended{written, stored}, true},
		{[]eventstore.StreamAppend{empty, full}, []eventstore.Appended{written, written}, true},
	} {
		if err := Whole(c.appends, c.results); errors.Is(err, eventstore.ErrIDReused) == c.whole || c.whole && err != nil {
			t.Errorf("case %d: %v, want whole: %t", i, err, c.whole)
		}
	}
}

func TestSchemaVersionDefault(t *testing.T) {
	for version, want := range map[int]int{0: 1, 1: 1, 7: 7} {
		if got := SchemaVersion(eventstore.Event{SchemaVersion: version}); got != want {
			t.Errorf("SchemaVersion of %d = %d, want %d", version, got, want)
		}
	}
}
