package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var metadataClauses = []clause{
	{"shows of a stream what its metadata leaves", management, honoursMetadata},
	{"shows the last events as a stream grows", management, showsLastEvents},
	{"hides events beyond their age", management, hidesOldEvents},
	{"replaces a stream's metadata as a whole", management, replacesMetadata},
	{"takes metadata before the stream", management, takesMetadataFirst},
	{"writes metadata to the log as an event", management, logsMetadata},
	{"judges appends by what is stored, not by what is shown", management, judgesHiddenEvents},
	{"refuses invalid metadata and streams", management, refusesInvalidManagement},
}

func (f *fixture) manager() eventstore.StreamManager { return f.Store.(eventstore.StreamManager) }

func (f *fixture) setMetadata(stream string, m eventstore.StreamMetadata) {
	f.Helper()
	if err := f.manager().SetStreamMetadata(f.Context(), stream, m); err != nil {
		f.Fatalf("SetStreamMetadata(%q, %+v): %v", stream, m, err)
	}
}

func (f *fixture) info(stream string) eventstore.StreamInfo {
	f.Helper()
	info, err := f.manager().StreamInfo(f.Context(), stream)
	if err != nil {
		f.Fatalf("StreamInfo(%q): %v", stream, err)
	}
	return info
}

// Retention hides; replay must still see everything.
func honoursMetadata(f *fixture) {
	f.append("order-1", eventstore.NoStream, numbered("", 6)...)
	f.append("order-2", eventstore.NoStream, numbered("", 6)...)
	all := f.stream("order-1", eventstore.ReadOptions{})
	for _, c := range []struct {
		metadata eventstore.StreamMetadata
		first    int64
	}{
		{eventstore.StreamMetadata{MaxCount: 1}, 5},
		{eventstore.StreamMetadata{MaxCount: 4}, 2},
		{eventstore.StreamMetadata{MaxCount: 6}, 0},
		{eventstore.StreamMetadata{MaxCount: 100}, 0},
		{eventstore.StreamMetadata{TruncateBefore: 1}, 1},
		{eventstore.StreamMetadata{TruncateBefore: 5}, 5},
		{eventstore.StreamMetadata{TruncateBefore: 6}, 6},
		{eventstore.StreamMetadata{TruncateBefore: 100}, 6},
		{eventstore.StreamMetadata{MaxCount: 2, TruncateBefore: 3}, 4},
		{eventstore.StreamMetadata{MaxCount: 5, TruncateBefore: 3}, 3},
		{eventstore.StreamMetadata{MaxAge: 3600, MaxCount: 3}, 3},
		{eventstore.StreamMetadata{}, 0},
	} {
		f.setMetadata("order-1", c.metadata)
		at := func(e eventstore.RecordedEvent) int64 { return e.Version }
		for _, from := range []int64{0, 2, 4, eventstore.End} {
			for _, opts := range []eventstore.ReadOptions{
				{From: from}, {From: from, Limit: 2}, {From: from, PageSize: 1},
				{From: from, Backwards: true}, {From: from, Backwards: true, Limit: 2}, {From: from, Backwards: true, PageSize: 1},
			} {
				what := fmt.Sprintf("ReadStream(%+v) with %+v", opts, c.metadata)
				f.wantEvents(what, f.stream("order-1", opts), piece(all[c.first:], at, opts))
			}
		}
		if info := f.info("order-1"); info.Metadata != c.metadata || info.Version != 5 || info.FirstVersion != 0 {
			f.Errorf("StreamInfo = %+v, want version 5, first version 0 and metadata %+v", info, c.metadata)
		}
	}
	happened := eventstore.Filter{Types: []string{"Happened"}}
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 1, TruncateBefore: 5})
	if n := len(f.all(eventstore.ReadOptions{Filter: happened})); n != 12 {
		f.Errorf("ReadAll yields %d events, want all 12", n)
	}
	f.wantLabels("Subscribe", f.follow(eventstore.ReadOptions{Filter: happened}, 12)[:6], labels(all)...)
	f.wantLabels("ReadStream of the other stream", f.stream("order-2", eventstore.ReadOptions{}), labels(all)...)
}

func showsLastEvents(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("0"))
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 2})
	for i := range int64(5) {
		f.append("order-1", eventstore.Exact(i), event(fmt.Sprint(i+1)))
		f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), fmt.Sprint(i), fmt.Sprint(i+1))
	}
}

// What age hides is still there: a longer age shows it again.
func hidesOldEvents(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxAge: 3600})
	f.wantLabels("ReadStream with a high age", f.stream("order-1", eventstore.ReadOptions{}), "a", "b")
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxAge: 1})
	look := time.NewTicker(50 * time.Millisecond)
	defer look.Stop()
	for waited := time.Duration(0); len(f.stream("order-1", eventstore.ReadOptions{})) > 0; waited += 50 * time.Millisecond {
		if <-look.C; waited > patience {
			f.Fatalf("ReadStream yields events older than a second after %s", waited)
		}
	}
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxAge: 3600})
	f.wantLabels("ReadStream with a high age again", f.stream("order-1", eventstore.ReadOptions{}), "a", "b")
}

func replacesMetadata(f *fixture) {
	f.append("order-1", eventstore.NoStream, numbered("", 4)...)
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 1, MaxAge: 60})
	f.setMetadata("order-1", eventstore.StreamMetadata{TruncateBefore: 2})
	if got, want := f.info("order-1").Metadata, (eventstore.StreamMetadata{TruncateBefore: 2}); got != want {
		f.Errorf("the metadata is %+v, want %+v", got, want)
	}
	f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), "2", "3")
}

// Retention is set up before the first event comes.
func takesMetadataFirst(f *fixture) {
	f.setMetadata("order-1", eventstore.StreamMetadata{MaxCount: 1})
	_, err := collect(f.ReadStream(f.Context(), "order-1", eventstore.ReadOptions{}))
	f.wantErr("ReadStream of a stream that has only metadata", err, eventstore.ErrStreamNotFound)
	_, err = f.manager().StreamInfo(f.Context(), "order-1")
	f.wantErr("StreamInfo of a stream that has only metadata", err, eventstore.ErrStreamNotFound)
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), "b")
}

// Audits ask who hid what and when.
func logsMetadata(f *fixture) {
	want := eventstore.StreamMetadata{MaxCount: 3, MaxAge: 60, TruncateBefore: 2}
	f.setMetadata("order-1", want)
	all := f.all(eventstore.ReadOptions{})
	if len(all) != 1 || all[0].Type != eventstore.TypeMetadata || all[0].Stream != eventstore.MetadataStream("order-1") {
		f.Fatalf("ReadAll yields %+v, want one event of type %s", all, eventstore.TypeMetadata)
	}
	var got eventstore.StreamMetadata
	if err := json.Unmarshal(all[0].Data, &got); err != nil || got != want {
		f.Errorf("the event has %q, %v; want %+v", all[0].Data, err, want)
	}
	f.wantEvents("ReadStream of the metadata", f.stream(eventstore.MetadataStream("order-1"), eventstore.ReadOptions{}), all)
}

func judgesHiddenEvents(f *fixture) {
	hidden := streamAppend("order-1", eventstore.NoStream, events("a", "b")...)
	first := f.append("order-1", hidden.Expected, hidden.Events...)
	f.setMetadata("order-1", eventstore.StreamMetadata{TruncateBefore: 2})
	f.judges("order-1", eventstore.NoStream, eventstore.ErrConflict)
	f.repeats(first, hidden)
	hidden.Expected = eventstore.Any
	f.repeats(first, hidden)
	f.judges("order-1", eventstore.StreamExists, nil)
	f.judges("order-1", eventstore.Exact(2), nil)
}

func refusesInvalidManagement(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	ctx, m := f.Context(), f.manager()
	for _, bad := range []eventstore.StreamMetadata{{MaxCount: -1}, {MaxAge: -1}, {MaxAge: 1 << 62}, {TruncateBefore: -1}} {
		f.refused(fmt.Sprintf("SetStreamMetadata with %+v", bad), eventstore.ErrInvalid, func() error {
			return m.SetStreamMetadata(ctx, "order-1", bad)
		})
	}
	for what, name := range invalidStreams {
		for method, call := range map[string]func() error{
			"SetStreamMetadata": func() error { return m.SetStreamMetadata(ctx, name, eventstore.StreamMetadata{}) },
			"DeleteStream":      func() error { _, err := m.DeleteStream(ctx, name, eventstore.Any); return err },
			"TombstoneStream":   func() error { _, err := m.TombstoneStream(ctx, name, eventstore.Any); return err },
		} {
			f.refused(method+" of a name that is "+what, eventstore.ErrInvalid, call)
		}
		if _, err := m.StreamInfo(ctx, name); !errors.Is(err, eventstore.ErrStreamNotFound) && !errors.Is(err, eventstore.ErrInvalid) {
			f.Errorf("StreamInfo of a name that is %s: %v, want %v or %v", what, err, eventstore.ErrStreamNotFound, eventstore.ErrInvalid)
		}
	}
}
