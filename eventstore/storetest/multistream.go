package storetest

import (
	"errors"
	"fmt"

	"github.com/57528e99/recount/eventstore"
)

var multiStreamClauses = []clause{
	{"appends to several streams as one append", multiStream, appendsToSeveral},
	{"appends to several streams all or nothing", multiStream, appendsAllOrNothing},
	{"checks a stream that it writes nothing to", multiStream, checksWithoutWriting},
	{"lets a later append to a stream see an earlier one", multiStream, seesEarlierAppends},
	{"answers a retry of an append to several streams", multiStream, repeatsSeveral},
	{"refuses an append to several streams of which a part is known", multiStream, refusesPartlyKnownStreams},
	{"keeps one receipt for several streams", multiStream.and(receipts), keepsReceiptOfSeveral},
	{"bounds an append to several streams as a whole", multiStream, boundsSeveral},
}

func (f *fixture) tryAppendStreams(appends ...eventstore.StreamAppend) ([]eventstore.Appended, error) {
	pending := f.BeginTogether("clause", appends, eventstore.AppendOptions{})
	done, err := f.Store.(eventstore.MultiStreamAppender).AppendStreams(f.Context(), appends, eventstore.AppendOptions{})
	pending.Answer(done, err)
	return done, err
}

func (f *fixture) appendStreams(appends ...eventstore.StreamAppend) []eventstore.Appended {
	f.Helper()
	done, err := f.tryAppendStreams(appends...)
	if err != nil {
		f.Fatalf("AppendStreams: %v", err)
	}
	if len(done) != len(appends) {
		f.Fatalf("AppendStreams of %d appends returns %d results", len(appends), len(done))
	}
	return done
}

// A transfer between two streams must never be seen half done.
func appendsToSeveral(f *fixture) {
	f.append("order-2", eventstore.NoStream, event("z"))
	done := f.appendStreams(
		streamAppend("order-1", eventstore.NoStream, events("a", "b")...),
		streamAppend("order-2", eventstore.Exact(0), event("c")),
		streamAppend("order-3", eventstore.Any, events("d", "e")...),
	)
	f.wantLabels("ReadAll", f.all(eventstore.ReadOptions{}), "z", "a", "b", "c", "d", "e")
	all := f.all(eventstore.ReadOptions{})[1:]
	for i, last := range []int{1, 2, 4} {
		e := all[last]
		if !sameResult(done[i], eventstore.Appended{Stream: e.Stream, Version: e.Version, Position: e.Position}) || done[i].Duplicate {
			f.Errorf("result %d is %+v, the last event of its append %+v", i, done[i], e)
		}
		f.wantLabels("ReadAll after the token of a part", f.all(eventstore.ReadOptions{After: done[i].Token}))
	}
	for _, e := range all {
		if e.AppendEnd != all[4].Position {
			f.Errorf("position %d has AppendEnd %d, want %d", e.Position, e.AppendEnd, all[4].Position)
		}
	}
	for b, err := range f.subscribe(eventstore.ReadOptions{PageSize: 1, From: all[0].Position}) {
		if err != nil {
			f.Fatalf("Subscribe: %v", err)
		}
		f.wantLabels("the first batch", b.Events, "a", "b", "c", "d", "e")
		break
	}
}

func appendsAllOrNothing(f *fixture) {
	stored := event("z")
	f.append("order-2", eventstore.NoStream, stored)
	stored.Data = []byte("Z")
	good := streamAppend("order-1", eventstore.NoStream, event("a"))
	for _, c := range []struct {
		bad  eventstore.StreamAppend
		want error
	}{
		{streamAppend("order-2", eventstore.NoStream, event("b")), eventstore.ErrConflict},
		{streamAppend("order-2", eventstore.Exact(1), event("b")), eventstore.ErrConflict},
		{streamAppend("order-3", eventstore.StreamExists, event("b")), eventstore.ErrConflict},
		{streamAppend("order-2", eventstore.Any, stored), eventstore.ErrIDReused},
		{streamAppend("order-2", eventstore.NoStream), eventstore.ErrConflict},
		{streamAppend("order-2", eventstore.Exact(1)), eventstore.ErrConflict},
		{streamAppend("order-3", eventstore.Exact(0)), eventstore.ErrConflict},
		{streamAppend("$order-3", eventstore.Any, event("b")), eventstore.ErrInvalid},
		{streamAppend("order-3", eventstore.Any, eventstore.Event{}), eventstore.ErrInvalid},
	} {
		for _, appends := range [][]eventstore.StreamAppend{{good, c.bad}, {c.bad, good}} {
			f.refused("AppendStreams with one bad part", c.want, func() error {
				_, err := f.tryAppendStreams(appends...)
				var conflict *eventstore.ConflictError
				if errors.As(err, &conflict) && conflict.Stream != c.bad.Stream {
					f.Errorf("the conflict is of stream %q, want %q", conflict.Stream, c.bad.Stream)
				}
				return err
			})
		}
	}
	for _, nothing := range [][]eventstore.StreamAppend{nil, {streamAppend("order-2", eventstore.Exact(0)), streamAppend("order-3", eventstore.Any)}} {
		f.refused("AppendStreams of nothing", eventstore.ErrInvalid, func() error {
			_, err := f.tryAppendStreams(nothing...)
			return err
		})
	}
	f.appendStreams(good, streamAppend("order-2", eventstore.Exact(0), event("b")))
}

// What rests on a stream that it only reads demands that it is unchanged.
func checksWithoutWriting(f *fixture) {
	f.append("order-2", eventstore.NoStream, event("z"))
	done := f.appendStreams(
		streamAppend("order-3", eventstore.NoStream),
		streamAppend("order-1", eventstore.NoStream, event("a")),
		streamAppend("order-2", eventstore.Exact(0)),
	)
	for i, want := range []eventstore.Appended{
		{Stream: "order-3", Version: -1}, {Stream: "order-1", Version: 0, Position: 2}, {Stream: "order-2", Version: 0},
	} {
		if !sameResult(done[i], want) {
			f.Errorf("result %d is %+v, want %+v", i, done[i], want)
		}
		f.wantLabels("ReadAll after the token of a part", f.all(eventstore.ReadOptions{After: done[i].Token}))
	}
	f.wantLabels("ReadAll", f.all(eventstore.ReadOptions{}), "z", "a")
	f.append("order-3", eventstore.NoStream, event("b"))
}

func seesEarlierAppends(f *fixture) {
	done := f.appendStreams(
		streamAppend("order-1", eventstore.NoStream, event("a")),
		streamAppend("order-2", eventstore.NoStream, event("b")),
		streamAppend("order-1", eventstore.Exact(0), event("c")),
		streamAppend("order-1", eventstore.StreamExists, event("d")),
	)
	for i, version := range []int64{0, 0, 1, 2} {
		if done[i].Version != version {
			f.Errorf("result %d is version %d, want %d", i, done[i].Version, version)
		}
	}
	for _, expected := range []eventstore.ExpectedVersion{eventstore.NoStream, eventstore.Exact(2)} {
		f.refused("AppendStreams whose second part ignores the first", eventstore.ErrConflict, func() error {
			_, err := f.tryAppendStreams(
				streamAppend("order-1", eventstore.Exact(2), event("e")), streamAppend("order-1", expected, event("f")))
			return err
		})
	}
	e := event("e")
	f.refused("AppendStreams with an id twice in a stream", eventstore.ErrIDReused, func() error {
		_, err := f.tryAppendStreams(streamAppend("order-1", eventstore.Any, e), streamAppend("order-1", eventstore.Any, e))
		return err
	})
}

func repeatsSeveral(f *fixture) {
	appends := []eventstore.StreamAppend{
		streamAppend("order-1", eventstore.NoStream, events("a", "b")...),
		streamAppend("order-2", eventstore.Any, event("c")),
		streamAppend("order-1", eventstore.Exact(1), event("d")),
	}
	first := f.appendStreams(appends...)
	f.append("order-1", eventstore.Any, event("e"))
	f.refusedOrRepeated("a retry", func() error {
		again, err := f.tryAppendStreams(appends...)
		if err != nil {
			return err
		}
		for i := range again {
			if !again[i].Duplicate || !sameResult(again[i], first[i]) {
				f.Errorf("result %d of a retry is %+v, want %+v as a duplicate", i, again[i], first[i])
			}
			f.wantLabels("ReadAll after the token of a retry", f.all(eventstore.ReadOptions{After: again[i].Token}), "e")
		}
		return nil
	})
}

// To write the unknown part would make two appends of what was to be one.
func refusesPartlyKnownStreams(f *fixture) {
	a, b := event("a"), event("b")
	f.append("order-1", eventstore.NoStream, a)
	known := streamAppend("order-1", eventstore.NoStream, a)
	for _, fresh := range []eventstore.StreamAppend{
		streamAppend("order-2", eventstore.NoStream, b),
		streamAppend("order-2", eventstore.Any, eventstore.Event{Type: "Happened"}),
		streamAppend("order-1", eventstore.Any, b),
	} {
		for _, appends := range [][]eventstore.StreamAppend{{known, fresh}, {fresh, known}} {
			f.refused("AppendStreams of which a part is known", eventstore.ErrIDReused, func() error {
				_, err := f.tryAppendStreams(appends...)
				return err
			})
		}
	}
}

func keepsReceiptOfSeveral(f *fixture) {
	f.append("order-3", eventstore.NoStream, event("z"))
	appends := []eventstore.StreamAppend{
		streamAppend("order-1", eventstore.NoStream, events("a", "b")...),
		streamAppend("order-3", eventstore.Exact(0)),
		streamAppend("order-2", eventstore.NoStream, event("c")),
	}
	opts := eventstore.AppendOptions{Receipt: receipt("k")}
	m := f.Store.(eventstore.MultiStreamAppender)
	done, err := m.AppendStreams(f.Context(), appends, opts)
	if err != nil || len(done) != 3 || done[1].Position != 0 || done[1].Version != 0 {
		f.Fatalf("AppendStreams with a receipt = %+v, %v; want 3 results, the second at version 0 and position 0", done, err)
	}
	f.wantReceipt(receipt("k"), done...)
	f.refused("AppendStreams again", eventstore.ErrReceiptKnown, func() error {
		_, err := m.AppendStreams(f.Context(), appends, opts)
		return err
	})
}

func boundsSeveral(f *fixture) {
	half := make([]eventstore.Event, eventstore.Limits{}.WithDefaults().AppendEvents/2+1)
	for i := range half {
		half[i].Type = "Happened"
	}
	f.refused("AppendStreams of too many events", eventstore.ErrInvalid, func() error {
		_, err := f.tryAppendStreams(
			streamAppend("order-1", eventstore.Any, half...), streamAppend("order-2", eventstore.Any, half...))
		return err
	})
	appends := make([]eventstore.StreamAppend, 100)
	for i := range appends {
		appends[i] = streamAppend(fmt.Sprint("order-", i), eventstore.NoStream, event(fmt.Sprint(i)))
	}
	if done := f.appendStreams(appends...); done[99].Stream != "order-99" {
		f.Errorf("result 99 is %+v, want that of order-99", done[99])
	}
}
