package storetest

import (
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

var deleteClauses = []clause{
	{"hides a deleted stream from ReadStream and from nothing else", management, hidesDeleted},
	{"deletes under an expected version", management, deletesAsExpected},
	{"deletes only what is there, whatever the version", management, deletesWhatIsThere},
	{"creates a deleted stream again behind its last version", management, recreates},
	{"shows only the present life of a stream", management, showsPresentLife},
	{"judges appends to a deleted stream", management, judgesDeleted},
	{"does not write a retry from before a deletion into the next life", management, keepsLivesApart},
}

var tombstoneClauses = []clause{
	{"refuses whatever is asked of a tombstoned stream", management, refusesTombstoned},
	{"tombstones under an expected version, and deleted streams too", management, tombstonesAsExpected},
}

func (f *fixture) delete(stream string, expected eventstore.ExpectedVersion) eventstore.Appended {
	f.Helper()
	done, err := f.manager().DeleteStream(f.Context(), stream, expected)
	if err != nil {
		f.Fatalf("DeleteStream(%q) expecting %s: %v", stream, expected, err)
	}
	return done
}

func (f *fixture) tombstone(stream string, expected eventstore.ExpectedVersion) {
	f.Helper()
	if _, err := f.manager().TombstoneStream(f.Context(), stream, expected); err != nil {
		f.Fatalf("TombstoneStream(%q) expecting %s: %v", stream, expected, err)
	}
}

// wantDeleted fails the test unless ReadStream says that the stream is deleted,
// in the way that lets callers tell for how long.
func (f *fixture) wantDeleted(stream string, tombstoned bool) {
	f.Helper()
	_, err := collect(f.ReadStream(f.Context(), stream, eventstore.ReadOptions{}))
	f.wantErr("ReadStream of a deleted stream", err, eventstore.ErrStreamDeleted)
	var deleted *eventstore.StreamDeletedError
	if !errors.As(err, &deleted) || *deleted != (eventstore.StreamDeletedError{Stream: stream, Tombstoned: tombstoned}) {
		f.Errorf("ReadStream of a deleted stream = %#v, want stream %q and tombstoned %t", err, stream, tombstoned)
	}
	if errors.Is(err, eventstore.ErrStreamNotFound) == tombstoned {
		f.Errorf("ReadStream of a stream with tombstoned %t = %v", tombstoned, err)
	}
	if info := f.info(stream); !info.Deleted || info.Tombstoned != tombstoned {
		f.Errorf("StreamInfo = %+v, want deleted and tombstoned %t", info, tombstoned)
	}
}

func hidesDeleted(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	f.append("order-11", eventstore.NoStream, event("c"))
	before := f.all(eventstore.ReadOptions{})
	done := f.delete("order-1", eventstore.Any)
	f.wantDeleted("order-1", false)
	if info := f.info("order-1"); done.Stream != "order-1" || done.Duplicate || done.Version < 1 || info.Version != done.Version {
		f.Errorf("DeleteStream = %+v, then StreamInfo = %+v; want the same version, from 1", done, info)
	}
	after := f.all(eventstore.ReadOptions{})
	if len(after) < len(before) {
		f.Fatalf("ReadAll yields %d events after the deletion, %d before", len(after), len(before))
	}
	f.wantEvents("ReadAll after the deletion", after[:len(before)], before)
	f.wantLabels("Subscribe after the deletion", f.follow(eventstore.ReadOptions{}, 3)[:3], "a", "b", "c")
	f.wantLabels("ReadStream of another stream", f.stream("order-11", eventstore.ReadOptions{}), "c")
	if _, err := f.manager().StreamInfo(f.Context(), "order-2"); !errors.Is(err, eventstore.ErrStreamNotFound) {
		f.Errorf("StreamInfo of a stream never written = %v, want %v", err, eventstore.ErrStreamNotFound)
	}
}

// Whoever deletes by what they read must hear that it has changed.
func deletesAsExpected(f *fixture) {
	for i, c := range []struct {
		expected eventstore.ExpectedVersion
		want     error
	}{
		{eventstore.Any, nil},
		{eventstore.StreamExists, nil},
		{eventstore.Exact(1), nil},
		{eventstore.Exact(0), eventstore.ErrConflict},
		{eventstore.Exact(2), eventstore.ErrConflict},
		{eventstore.NoStream, eventstore.ErrConflict},
		{eventstore.ExpectedVersion{}, eventstore.ErrInvalid},
	} {
		stream := fmt.Sprint("order-", i)
		f.append(stream, eventstore.NoStream, events("a", "b")...)
		if c.want == nil {
			f.delete(stream, c.expected)
			f.wantDeleted(stream, false)
			continue
		}
		f.refused(fmt.Sprintf("DeleteStream expecting %s", c.expected), c.want, func() error {
			_, err := f.manager().DeleteStream(f.Context(), stream, c.expected)
			return err
		})
		f.wantLabels("ReadStream after a refused deletion", f.stream(stream, eventstore.ReadOptions{}), "a", "b")
	}
	f.refused("DeleteStream of a stream never written", eventstore.ErrConflict, func() error {
		_, err := f.manager().DeleteStream(f.Context(), "order-never", eventstore.StreamExists)
		return err
	})
}

// Whoever deletes the wrong name, or twice, must hear of it; and a mark alone
// would be a stream that nobody wrote.
func deletesWhatIsThere(f *fixture) {
	remove := func(stream string) func() error {
		return func() error {
			_, err := f.manager().DeleteStream(f.Context(), stream, eventstore.Any)
			return err
		}
	}
	f.refused("DeleteStream of a stream never written", eventstore.ErrConflict, remove("order-never"))
	f.append("order-1", eventstore.NoStream, event("a"))
	f.delete("order-1", eventstore.Any)
	f.refused("a second DeleteStream", eventstore.ErrStreamDeleted, remove("order-1"))
	f.append("order-1", eventstore.NoStream, event("b"))
	f.delete("order-1", eventstore.Any)
	f.wantDeleted("order-1", false)
}

// Versions that began again at 0 would let a stale Exact(n) through.
func recreates(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	deleted := f.delete("order-1", eventstore.Exact(1))
	done := f.append("order-1", eventstore.NoStream, events("c", "d")...)
	if done.Version != deleted.Version+2 {
		f.Errorf("Append of 2 events behind a deletion at version %d = version %d", deleted.Version, done.Version)
	}
	info := f.info("order-1")
	if info.Deleted || info.Version != done.Version || info.FirstVersion != done.Version-1 {
		f.Errorf("StreamInfo = %+v, want version %d, first version %d", info, done.Version, done.Version-1)
	}
	f.judges("order-1", eventstore.Exact(1), eventstore.ErrConflict)
	f.judges("order-1", eventstore.NoStream, eventstore.ErrConflict)
	f.judges("order-1", eventstore.Exact(done.Version), nil)
}

func showsPresentLife(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b", "c")...)
	for life := range 3 {
		f.delete("order-1", eventstore.StreamExists)
		done := f.append("order-1", eventstore.Any, numbered(fmt.Sprint(life, "."), 3)...)
		shown := []string{fmt.Sprint(life, ".0"), fmt.Sprint(life, ".1"), fmt.Sprint(life, ".2")}
		back := []string{shown[2], shown[1], shown[0]}
		for _, page := range pages {
			opts := eventstore.ReadOptions{PageSize: page}
			f.wantLabels("ReadStream", f.stream("order-1", opts), shown...)
			opts.From = done.Version - 1
			f.wantLabels("ReadStream from the middle", f.stream("order-1", opts), shown[1:]...)
			opts.From, opts.Backwards = eventstore.End, true
			f.wantLabels("ReadStream backwards", f.stream("order-1", opts), back...)
			opts.From = done.Version - 3
			f.wantLabels("ReadStream backwards from an earlier life", f.stream("order-1", opts))
		}
		f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 2})
		f.wantLabels("ReadStream of the last 2", f.stream("order-1", eventstore.ReadOptions{}), shown[1:]...)
		f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 100})
		f.wantLabels("ReadStream of the last 100", f.stream("order-1", eventstore.ReadOptions{}), shown...)
	}
}

func judgesDeleted(f *fixture) {
	for i, c := range []struct {
		expected func(version int64) eventstore.ExpectedVersion
		want     error
	}{
		{func(int64) eventstore.ExpectedVersion { return eventstore.Any }, nil},
		{func(int64) eventstore.ExpectedVersion { return eventstore.NoStream }, nil},
		{eventstore.Exact, nil},
		{func(version int64) eventstore.ExpectedVersion { return eventstore.Exact(version + 1) }, eventstore.ErrConflict},
		{func(int64) eventstore.ExpectedVersion { return eventstore.Exact(0) }, eventstore.ErrConflict},
		{func(int64) eventstore.ExpectedVersion { return eventstore.StreamExists }, eventstore.ErrStreamDeleted},
	} {
		stream := fmt.Sprint("order-", i)
		f.append(stream, eventstore.NoStream, events("a", "b")...)
		deleted := f.delete(stream, eventstore.Any)
		f.judges(stream, c.expected(deleted.Version), c.want)
	}
}

// A retry may come after the deletion. To write it would bring back what was
// deleted.
func keepsLivesApart(f *fixture) {
	for i, mode := range append(modes, eventstore.NoStream) {
		stream := fmt.Sprint("order-", i)
		old := streamAppend(stream, mode, event("a"))
		if mode != eventstore.NoStream {
			f.append(stream, eventstore.NoStream, event("z"))
		}
		f.append(stream, mode, old.Events...)
		f.delete(stream, eventstore.Any)
		again := func() error {
			done, err := f.Append(f.Context(), old, eventstore.AppendOptions{})
			if err == nil && !done.Duplicate {
				return fmt.Errorf("a retry = %+v, want a duplicate or an error", done)
			}
			return nil
		}
		f.refusedOrRepeated("a retry behind the deletion", again)
		f.append(stream, eventstore.NoStream, event("b"))
		f.refusedOrRepeated("a retry in the next life", again)
		f.wantLabels("ReadStream", f.stream(stream, eventstore.ReadOptions{}), "b")
	}
}

func refusesTombstoned(f *fixture) {
	list := events("a", "b")
	f.append("order-1", eventstore.NoStream, list...)
	f.tombstone("order-1", eventstore.Exact(1))
	f.wantDeleted("order-1", true)
	version := f.info("order-1").Version
	for _, expected := range []eventstore.ExpectedVersion{
		eventstore.Any, eventstore.NoStream, eventstore.StreamExists, eventstore.Exact(1), eventstore.Exact(version),
	} {
		f.judges("order-1", expected, eventstore.ErrStreamDeleted)
		for what, call := range map[string]func() error{
			"a retry":         func() error { _, err := f.tryAppend("order-1", expected, list...); return err },
			"DeleteStream":    func() error { _, err := f.manager().DeleteStream(f.Context(), "order-1", expected); return err },
			"TombstoneStream": func() error { _, err := f.manager().TombstoneStream(f.Context(), "order-1", expected); return err },
		} {
			f.refused(fmt.Sprintf("%s of a tombstoned stream expecting %s", what, expected), eventstore.ErrStreamDeleted, call)
		}
	}
	f.wantLabels("ReadAll", f.all(eventstore.ReadOptions{})[:2], "a", "b")
}

func tombstonesAsExpected(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	for _, expected := range []eventstore.ExpectedVersion{eventstore.NoStream, eventstore.Exact(0), eventstore.Exact(2)} {
		f.refused(fmt.Sprintf("TombstoneStream expecting %s", expected), eventstore.ErrConflict, func() error {
			_, err := f.manager().TombstoneStream(f.Context(), "order-1", expected)
			return err
		})
	}
	f.delete("order-1", eventstore.Exact(1))
	f.tombstone("order-1", eventstore.Any)
	f.wantDeleted("order-1", true)
}
