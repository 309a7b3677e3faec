package storetest

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

var readStreamClauses = []clause{
	{"reads a stream from any version, both ways, in pages of any size", always, readsStreamFromAnywhere},
	{"reads the same events from a stream and from the log", always, readsStreamAsLog},
	{"finds no stream that was never written", always, findsNoStream},
	{"holds nothing while its caller's code runs", always, holdsNothing},
	{"takes a reader that stops early", always, takesEarlyBreak},
	{"ends a read with the error of its context", always, endsReadWithContext},
}

// limits and pages lie around the lengths of what is read and appended. 0 is the
// default.
var (
	limits = []int64{0, 1, 3, 7, 100}
	pages  = []int{0, 1, 2, 3}
)

func readsStreamFromAnywhere(f *fixture) {
	f.append("other-1", eventstore.NoStream, events("x", "x")...)
	for i, n := range []int{3, 1, 3} {
		f.append("order-1", eventstore.Any, numbered(fmt.Sprint(i, "."), n)...)
		f.append("other-1", eventstore.Any, event("x"))
	}
	all := f.stream("order-1", eventstore.ReadOptions{})
	f.wantLabels("ReadStream", all, "0.0", "0.1", "0.2", "1.0", "2.0", "2.1", "2.2")
	at := func(e eventstore.RecordedEvent) int64 { return e.Version }
	f.readsFromAnywhere(all, at, []int64{0, 1, 2, 3, 4, 5, 6, 7, 100, eventstore.End}, func(opts eventstore.ReadOptions) []eventstore.RecordedEvent {
		return f.stream("order-1", opts)
	})
}

// readsFromAnywhere compares read with the same piece of all, for every
// combination of where to begin, which way to go, when to end and how big a
// page is.
func (f *fixture) readsFromAnywhere(all []eventstore.RecordedEvent, at func(eventstore.RecordedEvent) int64, froms []int64,
	read func(eventstore.ReadOptions) []eventstore.RecordedEvent,
) {
	for _, from := range froms {
		for _, backwards := range []bool{false, true} {
			for _, limit := range limits {
				for _, page := range pages {
					opts := eventstore.ReadOptions{From: from, Backwards: backwards, Limit: limit, PageSize: page}
					f.wantEvents(fmt.Sprintf("reading %+v", opts), read(opts), piece(all, at, opts))
				}
			}
		}
	}
}

// piece is what ReadOptions mean, in the simplest words.
func piece(all []eventstore.RecordedEvent, at func(eventstore.RecordedEvent) int64, opts eventstore.ReadOptions) []eventstore.RecordedEvent {
	var list []eventstore.RecordedEvent
	for _, e := range all {
		if !opts.Backwards && at(e) >= opts.From || opts.Backwards && at(e) <= opts.From {
			list = append(list, e)
		}
	}
	if opts.Backwards {
		slices.Reverse(list)
	}
	if opts.Limit > 0 {
		list = list[:min(int64(len(list)), opts.Limit)]
	}
	return list
}

func readsStreamAsLog(f *fixture) {
	for i := range 6 {
		f.append(fmt.Sprint("order-", i%2), eventstore.Any, numbered(fmt.Sprint(i, "."), 2)...)
	}
	all := f.all(eventstore.ReadOptions{})
	for _, stream := range []string{"order-0", "order-1"} {
		var want []eventstore.RecordedEvent
		for _, e := range all {
			if e.Stream == stream {
				want = append(want, e)
			}
		}
		f.wantEvents("ReadStream", f.stream(stream, eventstore.ReadOptions{}), want)
	}
}

// An empty stream and one that does not exist call for different answers.
func findsNoStream(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("a"))
	for _, name := range []string{"order-2", "order", "order-11", "ORDER-1"} {
		for _, opts := range []eventstore.ReadOptions{{}, {From: 5}, {From: eventstore.End, Backwards: true}} {
			_, err := collect(f.ReadStream(f.Context(), name, opts))
			f.wantErr(fmt.Sprintf("ReadStream(%q)", name), err, eventstore.ErrStreamNotFound)
		}
	}
}

// A reader may be slow, or append. More readers than a pool has connections
// stand still here; if one held a connection or a lock the append would not
// come through.
func holdsNothing(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b", "c")...)
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	opts := eventstore.ReadOptions{PageSize: 1}
	for range 40 {
		f.stepInto(f.ReadStream(ctx, "order-1", opts))
		f.stepInto(f.ReadAll(ctx, opts))
		nextBatch, stop := iter.Pull2(f.Subscribe(ctx, opts))
		f.Cleanup(stop)
		if b, err, ok := nextBatch(); !ok || err != nil || len(b.Events) == 0 {
			f.Fatalf("Subscribe yields %+v, %v; want a batch", b, err)
		}
	}
	if _, err := f.Append(ctx, streamAppend("order-1", eventstore.Exact(2), event("d")), eventstore.AppendOptions{}); err != nil {
		f.Fatalf("Append while readers stand still: %v", err)
	}
	f.wantLabels("ReadStream while readers stand still", f.stream("order-1", eventstore.ReadOptions{}), "a", "b", "c", "d")
}

// stepInto takes one event of a read and leaves it open until the test ends.
func (f *fixture) stepInto(seq iter.Seq2[eventstore.RecordedEvent, error]) {
	f.Helper()
	next, stop := iter.Pull2(seq)
	f.Cleanup(stop)
	if e, err, ok := next(); !ok || err != nil || string(e.Data) != "a" {
		f.Fatalf("the first event is %+v, %v; want a", e, err)
	}
}

// Most readers break: a connection lost each time would be the end of a pool.
func takesEarlyBreak(f *fixture) {
	f.append("order-1", eventstore.NoStream, numbered("e", 9)...)
	opts := eventstore.ReadOptions{PageSize: 2}
	for i := range 60 {
		f.breakAt(i%5, f.ReadStream(f.Context(), "order-1", opts))
		f.breakAt(i%5, f.ReadAll(f.Context(), opts))
		for _, err := range f.subscribe(opts) {
			if err != nil {
				f.Fatalf("Subscribe: %v", err)
			}
			break
		}
	}
	f.append("order-1", eventstore.Exact(8), event("last"))
	if n := len(f.all(eventstore.ReadOptions{})); n != 10 {
		f.Errorf("ReadAll yields %d events after all, want 10", n)
	}
}

func (f *fixture) breakAt(n int, seq iter.Seq2[eventstore.RecordedEvent, error]) {
	f.Helper()
	seen := 0
	for e, err := range seq {
		if err != nil || string(e.Data) != fmt.Sprint("e", seen) {
			f.Fatalf("event %d is %q, %v", seen, e.Data, err)
		}
		if seen++; seen > n {
			return
		}
	}
	f.Fatalf("the sequence ended after %d events, want more than %d", seen, n)
}

// A request whose client has left must stop costing, and must not look
// complete.
func endsReadWithContext(f *fixture) {
	f.append("order-1", eventstore.NoStream, numbered("e", 50)...)
	opts := eventstore.ReadOptions{PageSize: 1}
	f.endsRead("ReadStream", func(ctx context.Context) iter.Seq2[eventstore.RecordedEvent, error] {
		return f.ReadStream(ctx, "order-1", opts)
	})
	f.endsRead("ReadAll", func(ctx context.Context) iter.Seq2[eventstore.RecordedEvent, error] {
		return f.ReadAll(ctx, opts)
	})
}

func (f *fixture) endsRead(what string, read func(context.Context) iter.Seq2[eventstore.RecordedEvent, error]) {
	f.Helper()
	ctx, cancel := context.WithCancel(f.Context())
	defer cancel()
	seen, end := 0, error(nil)
	for _, err := range read(ctx) {
		cancel()
		seen, end = seen+1, err
	}
	if end == nil || seen == 50 {
		f.Errorf("%s went on to the end after its context was cancelled", what)
	}
	f.wantErr(what+" with a cancelled context", end, context.Canceled)
	_, err := collect(read(ctx))
	f.wantErr(what+" with a context cancelled before", err, context.Canceled)
}
