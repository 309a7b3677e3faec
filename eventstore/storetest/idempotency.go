package storetest

import (
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

var idempotencyClauses = []clause{
	{"answers a retry with the first result, whatever the expected version", always, repeatsInEveryMode},
	{"answers a retry when others have appended since", always, repeatsBehindOthers},
	{"writes a refused append when it is tried again at the right version", always, writesAfterConflict},
	{"never takes another append for a retry", always, tellsRetriesApart},
	{"takes other metadata for a retry all the same", always, ignoresMetadataOfRetry},
	{"refuses an id that is stored with other content", always, refusesOtherContent},
	{"refuses an append of which only a part is known", always, refusesPartlyKnown},
	{"refuses a known id behind an expected version that is met", always, refusesKnownIDAtMetVersion},
	{"never writes a known id again, however appends are cut", always, neverWritesTwice},
	{"scopes ids to their stream", always, scopesIDs},
	{"never takes events without ids for a retry", always, writesAnonymousAgain},
}

// modes are expected versions that an append to a stream of one event meets.
var modes = []eventstore.ExpectedVersion{eventstore.Any, eventstore.StreamExists, eventstore.Exact(0)}

func (f *fixture) repeats(first eventstore.Appended, a eventstore.StreamAppend) {
	f.Helper()
	f.refusedOrRepeated("a retry", func() error {
		again, err := f.Append(f.Context(), a, eventstore.AppendOptions{})
		if err != nil || !again.Duplicate || !sameResult(first, again) {
			f.Errorf("a retry expecting %s = %+v, %v; want the first result %+v as a duplicate", a.Expected, again, err, first)
		}
		return nil
	})
}

// refusedOrRepeated fails the test if do writes something.
func (f *fixture) refusedOrRepeated(what string, do func() error) {
	f.Helper()
	before := f.head()
	if err := do(); err != nil {
		f.Fatalf("%s: %v", what, err)
	}
	if after := f.head(); after != before {
		f.Fatalf("%s was written: the head went from position %d to %d", what, before.Position, after.Position)
	}
}

// An acknowledgement can get lost in every mode.
func repeatsInEveryMode(f *fixture) {
	for i, mode := range modes {
		stream := fmt.Sprint("order-", i)
		created := streamAppend(stream, eventstore.NoStream, event("a"))
		f.repeats(f.append(stream, created.Expected, created.Events...), created)
		a := streamAppend(stream, mode, events("b", "c")...)
		first := f.append(stream, mode, a.Events...)
		for range 2 {
			f.repeats(first, a)
		}
		f.wantLabels("ReadStream", f.stream(stream, eventstore.ReadOptions{}), "a", "b", "c")
	}
}

// The retry may come late.
func repeatsBehindOthers(f *fixture) {
	for i, mode := range modes {
		stream := fmt.Sprint("order-", i)
		created := streamAppend(stream, eventstore.NoStream, event("a"))
		createdAt := f.append(stream, created.Expected, created.Events...)
		a := streamAppend(stream, mode, events("b", "c")...)
		first := f.append(stream, mode, a.Events...)
		f.append(stream, eventstore.Any, events("d", "e", "f")...)
		f.append("other-1", eventstore.Any, event("g"))
		f.repeats(first, a)
		f.repeats(createdAt, created)
	}
}

// Nothing of a refused append may be remembered, least of all its ids.
func writesAfterConflict(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	list := events("b", "c")
	for _, stale := range []eventstore.ExpectedVersion{eventstore.NoStream, eventstore.Exact(7)} {
		_, err := f.tryAppend("order-1", stale, list...)
		f.wantErr("Append at a stale version", err, eventstore.ErrConflict)
	}
	if done := f.append("order-1", eventstore.Exact(0), list...); done.Duplicate || done.Version != 2 {
		f.Errorf("Append of what was refused before = %+v, want version 2 and no duplicate", done)
	}
}

// Two writers decide from the same version; the second must hear of the first.
func tellsRetriesApart(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	f.append("order-1", eventstore.Exact(0), events("b", "c")...)
	for _, c := range []struct {
		expected eventstore.ExpectedVersion
		list     []eventstore.Event
	}{
		{eventstore.NoStream, events("a")},
		{eventstore.Exact(0), events("b", "c")},
		{eventstore.Exact(0), events("b")},
		{eventstore.Exact(1), events("c")},
		{eventstore.Exact(0), []eventstore.Event{{Type: "Happened", Data: []byte("b")}}},
	} {
		f.refused(fmt.Sprintf("another append expecting %s", c.expected), eventstore.ErrConflict, func() error {
			_, err := f.tryAppend("order-1", c.expected, c.list...)
			return err
		})
	}
}

// A retry carries another trace id.
func ignoresMetadataOfRetry(f *fixture) {
	e := event("a")
	e.Metadata = []byte(`{"trace":1}`)
	first := f.append("order-1", eventstore.NoStream, e)
	e.Metadata = []byte(`{"trace":2}`)
	f.repeats(first, streamAppend("order-1", eventstore.NoStream, e))
	f.repeats(first, streamAppend("order-1", eventstore.Any, e))
	if got := f.stream("order-1", eventstore.ReadOptions{}); string(got[0].Metadata) != `{"trace":1}` {
		f.Errorf("the metadata is %q, want that of the first append", got[0].Metadata)
	}
}

// Silence would leave the caller to believe that the other content is stored.
func refusesOtherContent(f *fixture) {
	first := event("a")
	f.append("order-1", eventstore.NoStream, first)
	stored := event("b")
	f.append("order-1", eventstore.Exact(0), stored)
	otherType, otherVersion, otherData, noData := stored, stored, stored, stored
	otherType.Type = "HappenedNot"
	otherVersion.SchemaVersion = 2
	otherData.Data = []byte("B")
	noData.Data = nil
	for _, mode := range modes {
		for _, e := range []eventstore.Event{otherType, otherVersion, otherData, noData} {
			f.reused(streamAppend("order-1", mode, e), e)
		}
	}
	first.Data = []byte("A")
	f.reused(streamAppend("order-1", eventstore.NoStream, first), first)
}

// reused fails the test unless a is refused because of the id of e.
func (f *fixture) reused(a eventstore.StreamAppend, e eventstore.Event) {
	f.Helper()
	f.refused(fmt.Sprintf("Append of %d events with known ids expecting %s", len(a.Events), a.Expected), eventstore.ErrIDReused, func() error {
		_, err := f.Append(f.Context(), a, eventstore.AppendOptions{})
		var reused *eventstore.IDReusedError
		if errors.As(err, &reused) && (reused.Stream != a.Stream || reused.ID != e.ID || reused.Reason == "") {
			f.Errorf("the error is %+v, want stream %q, id %s and a reason", reused, a.Stream, e.ID)
		}
		return err
	})
}

// To write the rest would tear one append into two, to drop it would lose it.
func refusesPartlyKnown(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("z"))
	list := events("a", "b")
	f.append("order-1", eventstore.Exact(0), list...)
	a, b, fresh := list[0], list[1], event("c")
	for _, mode := range modes {
		f.reused(streamAppend("order-1", mode, a, b, fresh), fresh)
		f.reused(streamAppend("order-1", mode, a, fresh), fresh)
	}
	for _, mode := range []eventstore.ExpectedVersion{eventstore.Any, eventstore.StreamExists} {
		f.reused(streamAppend("order-1", mode, fresh, a, b), fresh)
		f.reused(streamAppend("order-1", mode, fresh, b), fresh)
		f.refused("Append of known events in another order", eventstore.ErrIDReused, func() error {
			_, err := f.tryAppend("order-1", mode, b, a)
			return err
		})
	}
}

// The version alone would let the id in a second time.
func refusesKnownIDAtMetVersion(f *fixture) {
	a, b := event("a"), event("b")
	f.append("order-1", eventstore.NoStream, a)
	f.append("order-1", eventstore.Exact(0), b)
	f.reused(streamAppend("order-1", eventstore.Exact(1), a), a)
	f.reused(streamAppend("order-1", eventstore.Exact(1), b), b)
	f.refused("Append of a new and a known event", eventstore.ErrIDReused, func() error {
		_, err := f.tryAppend("order-1", eventstore.Exact(1), event("c"), a)
		return err
	})
	f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), "a", "b")
}

// Whether a part of an append, or two in one, is a retry is the store's to say;
// that no event is stored twice is not.
func neverWritesTwice(f *fixture) {
	list := events("a", "b", "c")
	f.append("order-1", eventstore.NoStream, list[0], list[1])
	f.append("order-1", eventstore.Exact(1), list[2])
	for _, cut := range [][]eventstore.Event{list[:1], list[1:2], list[1:], list} {
		for _, mode := range []eventstore.ExpectedVersion{eventstore.Any, eventstore.StreamExists, eventstore.NoStream} {
			f.refusedOrRepeated("an append of known events", func() error {
				done, err := f.tryAppend("order-1", mode, cut...)
				if err == nil && !done.Duplicate {
					return fmt.Errorf("%d known events = %+v, want a duplicate or an error", len(cut), done)
				}
				return nil
			})
		}
	}
}

// A caller may derive ids from a command that writes to two streams.
func scopesIDs(f *fixture) {
	e := event("a")
	for _, stream := range []string{"order-1", "stock-1", "order-2"} {
		for _, mode := range []eventstore.ExpectedVersion{eventstore.NoStream, eventstore.Any} {
			done := f.append(stream, mode, e)
			if done.Version != 0 || done.Duplicate != (mode == eventstore.Any) {
				f.Errorf("Append to %q expecting %s = %+v", stream, mode, done)
			}
		}
	}
	f.wantLabels("ReadAll", f.all(eventstore.ReadOptions{}), "a", "a", "a")
}

func writesAnonymousAgain(f *fixture) {
	e := eventstore.Event{Type: "Ticked", Data: []byte("tick")}
	for i := range 3 {
		if done := f.append("clock-1", eventstore.Any, e); done.Duplicate || done.Version != int64(i) {
			f.Errorf("Append %d of an event without id = %+v, want version %d and no duplicate", i, done, i)
		}
	}
}
