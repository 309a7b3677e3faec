package storetest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var appendClauses = []clause{
	{"appends events in order behind what is there", always, appendsInOrder},
	{"shows an append to readers when it returns", always, showsAppendAtOnce},
	{"accepts what meets the expected version and writes nothing otherwise", always, judgesExpectedVersion},
	{"reports a conflict with the version that is there", always, reportsConflict},
	{"keeps a large append together", always, keepsLargeAppend},
	{"never moves the recorded time backwards", always, keepsTimeMonotone},
	{"writes an append whose context has ended whole or not at all", always, survivesCancelledAppend},
}

func appendsInOrder(f *fixture) {
	a := f.append("order-1", eventstore.NoStream, events("a", "b", "c")...)
	b := f.append("order-1", eventstore.Exact(2), event("d"))
	if a.Stream != "order-1" || a.Version != 2 || a.Duplicate {
		f.Errorf("Append of 3 events to a new stream = %+v, want stream order-1 at version 2, no duplicate", a)
	}
	if b.Version != 3 || b.Position <= a.Position {
		f.Errorf("Append behind %+v = %+v, want version 3 at a higher position", a, b)
	}
	got := f.stream("order-1", eventstore.ReadOptions{})
	f.wantLabels("ReadStream", got, "a", "b", "c", "d")
	for i, e := range got {
		if e.Stream != "order-1" || e.Version != int64(i) {
			f.Errorf("event %d is %q at version %d, want order-1 at %d", i, e.Stream, e.Version, i)
		}
		if i > 0 && e.Position <= got[i-1].Position {
			f.Errorf("event %d has position %d behind %d", i, e.Position, got[i-1].Position)
		}
	}
	for i, end := range []int64{a.Position, a.Position, a.Position, b.Position} {
		if got[i].AppendEnd != end {
			f.Errorf("event %d has AppendEnd %d, want %d", i, got[i].AppendEnd, end)
		}
	}
}

// What was acknowledged and cannot be read yet looks lost.
func showsAppendAtOnce(f *fixture) {
	for i := range 5 {
		done := f.append("order-1", eventstore.Any, event(fmt.Sprint(i)))
		head := f.head()
		if head.Position != done.Position || head.Log != done.Token.Log || done.Token.Position != done.Position {
			f.Fatalf("Append = %+v, then Head = %+v; want the same place", done, head)
		}
		backwards := eventstore.ReadOptions{From: eventstore.End, Backwards: true, Limit: 1}
		f.wantLabels("ReadStream of the last event", f.stream("order-1", backwards), fmt.Sprint(i))
		f.wantLabels("ReadAll of the last event", f.all(backwards), fmt.Sprint(i))
	}
}

func judgesExpectedVersion(f *fixture) {
	for _, c := range []struct {
		expected       eventstore.ExpectedVersion
		missing, there error // for a stream never written and for one at version 1
	}{
		{eventstore.ExpectedVersion{}, eventstore.ErrInvalid, eventstore.ErrInvalid},
		{eventstore.Any, nil, nil},
		{eventstore.NoStream, nil, eventstore.ErrConflict},
		{eventstore.Exact(-1), nil, eventstore.ErrConflict},
		{eventstore.StreamExists, eventstore.ErrConflict, nil},
		{eventstore.Exact(0), eventstore.ErrConflict, eventstore.ErrConflict},
		{eventstore.Exact(1), eventstore.ErrConflict, nil},
		{eventstore.Exact(2), eventstore.ErrConflict, eventstore.ErrConflict},
	} {
		missing, there := "missing-"+event("").ID.String(), "there-"+event("").ID.String()
		f.append(there, eventstore.NoStream, events("a", "b")...)
		f.judges(missing, c.expected, c.missing)
		f.judges(there, c.expected, c.there)
	}
}

func (f *fixture) judges(stream string, expected eventstore.ExpectedVersion, want error) {
	f.Helper()
	// Ids make a store compare before it refuses; without them it must come
	// to the same end.
	for _, e := range []eventstore.Event{event("x"), {Type: "Happened", Data: []byte("y")}} {
		if want != nil {
			f.refused(fmt.Sprintf("Append to %q expecting %s", stream, expected), want, func() error {
				_, err := f.tryAppend(stream, expected, e)
				return err
			})
			continue
		}
		f.append(stream, expected, e)
		return
	}
}

// The caller reloads from what the error says.
func reportsConflict(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	for _, want := range []eventstore.ConflictError{
		{Stream: "order-1", Expected: eventstore.Exact(0), Actual: 1},
		{Stream: "order-1", Expected: eventstore.NoStream, Actual: 1},
		{Stream: "order-2", Expected: eventstore.StreamExists, Actual: -1},
		{Stream: "order-2", Expected: eventstore.Exact(4), Actual: -1},
	} {
		_, err := f.tryAppend(want.Stream, want.Expected, event("x"))
		var got *eventstore.ConflictError
		if !errors.As(err, &got) || *got != want {
			f.Errorf("Append = %v, want %v", err, &want)
		}
	}
}

func keepsLargeAppend(f *fixture) {
	list := numbered("e", 1500)
	done := f.append("order-1", eventstore.NoStream, list...)
	got := f.stream("order-1", eventstore.ReadOptions{PageSize: 400})
	if len(got) != len(list) || done.Version != int64(len(list))-1 {
		f.Fatalf("Append of %d events = version %d, then ReadStream yields %d events", len(list), done.Version, len(got))
	}
	for i, e := range got {
		if e.ID != list[i].ID || e.AppendEnd != done.Position {
			f.Fatalf("event %d is %+v, want id %s and AppendEnd %d", i, e, list[i].ID, done.Position)
		}
	}
}

// Whoever bounds a read by time relies on it.
func keepsTimeMonotone(f *fixture) {
	for i := range 10 {
		f.append(fmt.Sprint("order-", i%3), eventstore.Any, events("a", "b")...)
	}
	last := time.Time{}
	for _, e := range f.all(eventstore.ReadOptions{}) {
		if e.RecordedAt.IsZero() || e.RecordedAt.Before(last) {
			f.Fatalf("position %d was recorded at %s, the event before it at %s", e.Position, e.RecordedAt, last)
		}
		last = e.RecordedAt
	}
}

// Clients hang up at any moment. Whatever the append came to, the retry must
// end with one copy.
func survivesCancelledAppend(f *fixture) {
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	list := events("a", "b")
	_, err := f.Append(ctx, streamAppend("order-1", eventstore.NoStream, list...), eventstore.AppendOptions{})
	if err != nil && !errors.Is(err, context.Canceled) {
		f.Errorf("Append with a cancelled context = %v, want %v", err, context.Canceled)
	}
	f.append("order-1", eventstore.NoStream, list...)
	f.wantLabels("ReadStream after the retry", f.stream("order-1", eventstore.ReadOptions{}), "a", "b")
}
