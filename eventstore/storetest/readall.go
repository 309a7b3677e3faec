package storetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var readAllClauses = []clause{
	{"reads the log from any position, both ways, in pages of any size", always, readsLogFromAnywhere},
	{"reads the log as far as it reached when reading began", always, endsAtHead},
	{"reads nothing from an empty log", always, readsEmptyLog},
	{"reads the events at some positions", always, readsPositions},
}

var tokenClauses = []clause{
	{"begins behind a token, or before it when reading backwards", always, beginsAfterToken},
	{"refuses a token of another log", always, refusesForeignToken},
	{"names its head by a token that travels as text", always, headTravels},
}

// appendMixed appends pieces of one to three events to three streams and
// returns their results.
func (f *fixture) appendMixed() []eventstore.Appended {
	var results []eventstore.Appended
	for i, n := range []int{1, 3, 1, 2, 1} {
		results = append(results, f.append(fmt.Sprint("order-", i%3), eventstore.Any, numbered(fmt.Sprint(i, "."), n)...))
	}
	return results
}

func position(e eventstore.RecordedEvent) int64 { return e.Position }

func readsLogFromAnywhere(f *fixture) {
	f.appendMixed()
	all := f.all(eventstore.ReadOptions{})
	f.wantLabels("ReadAll", all, "0.0", "1.0", "1.1", "1.2", "2.0", "3.0", "3.1", "4.0")
	froms := []int64{0, all[7].Position + 1, all[7].Position + 100, eventstore.End}
	for i, e := range all {
		if i > 0 && e.Position <= all[i-1].Position {
			f.Fatalf("ReadAll yields position %d behind %d", e.Position, all[i-1].Position)
		}
		froms = append(froms, e.Position)
	}
	f.readsFromAnywhere(all, position, froms, f.all)
}

// What was put aside is read again, one here and one there.
func readsPositions(f *fixture) {
	f.appendMixed()
	all := f.all(eventstore.ReadOptions{})
	some, beyond := []eventstore.RecordedEvent{all[0], all[2], all[3], all[6]}, f.head().Position+1
	var positions []int64
	for _, e := range some {
		positions = append(positions, e.Position)
	}
	for _, page := range pages {
		f.wantEvents("ReadAll of positions", f.all(eventstore.ReadOptions{Positions: append(slices.Clip(positions), beyond), PageSize: page}), some)
		f.wantEvents("ReadAll of positions with a limit", f.all(eventstore.ReadOptions{Positions: positions, PageSize: page, Limit: 3}), some[:3])
	}
	f.wantLabels("ReadAll of positions beyond the end", f.all(eventstore.ReadOptions{Positions: []int64{beyond}}))
	f.wantLabels("ReadAll of no position", f.all(eventstore.ReadOptions{Positions: []int64{}}))
}

// A reader that appends as it goes would never end otherwise.
func endsAtHead(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b", "c")...)
	for _, page := range pages {
		want := f.all(eventstore.ReadOptions{})
		var got []eventstore.RecordedEvent
		for e, err := range f.ReadAll(f.Context(), eventstore.ReadOptions{PageSize: page}) {
			if err != nil {
				f.Fatalf("ReadAll: %v", err)
			}
			f.append("order-1", eventstore.Any, event("later"))
			if got = append(got, e); len(got) > len(want) {
				f.Fatalf("ReadAll went on to what was appended after it began")
			}
		}
		f.wantEvents("ReadAll", got, want)
	}
}

func readsEmptyLog(f *fixture) {
	if head := f.head(); head.Log == uuid.Nil {
		f.Errorf("Head of an empty log = %+v, want one that names the log", head)
	}
	for _, opts := range []eventstore.ReadOptions{
		{}, {From: 3}, {From: eventstore.End, Backwards: true}, {After: f.head()}, {After: f.head(), Backwards: true},
	} {
		f.wantLabels(fmt.Sprintf("ReadAll(%+v)", opts), f.all(opts))
	}
	empty := f.head()
	f.append("order-1", eventstore.NoStream, event("a"))
	f.wantLabels("ReadAll after the head of the empty log", f.all(eventstore.ReadOptions{After: empty}), "a")
}

// Whoever was given a token has seen what it stands for.
func beginsAfterToken(f *fixture) {
	results := f.appendMixed()
	all := f.all(eventstore.ReadOptions{})
	for _, r := range append(results, eventstore.Appended{Token: f.head()}) {
		for _, from := range []int64{0, all[5].Position, eventstore.End} {
			opts := eventstore.ReadOptions{After: r.Token, From: from}
			behind := piece(all, position, eventstore.ReadOptions{From: r.Token.Position + 1})
			f.wantEvents(fmt.Sprintf("ReadAll(%+v)", opts), f.all(opts), behind)
			opts.Backwards = true
			before := piece(all, position, eventstore.ReadOptions{From: r.Token.Position - 1, Backwards: true})
			f.wantEvents(fmt.Sprintf("ReadAll(%+v)", opts), f.all(opts), before)
		}
	}
	last := event("last")
	f.append("order-9", eventstore.NoStream, last)
	for b, err := range f.subscribe(eventstore.ReadOptions{After: results[len(results)-1].Token, From: 1}) {
		if err != nil {
			f.Fatalf("Subscribe: %v", err)
		}
		f.wantLabels("Subscribe after the token of the append before", b.Events, "last")
		break
	}
}

// After a restore elsewhere, positions mean other events. To go on would skip
// or repeat them in silence.
func refusesForeignToken(f *fixture) {
	f.appendMixed()
	foreign := f.head()
	foreign.Log = uuid.New()
	opts := eventstore.ReadOptions{After: foreign}
	_, readErr := collect(f.ReadAll(f.Context(), opts))
	_, subscribeErr := collect(f.untilFirst(opts))
	for what, err := range map[string]error{"ReadAll": readErr, "Subscribe": subscribeErr} {
		f.wantErr(what+" after a token of another log", err, eventstore.ErrLogChanged)
		var changed *eventstore.LogChangedError
		if errors.As(err, &changed) && (changed.Token != foreign || changed.Head.Log != f.head().Log || changed.LastCommon != -1) {
			f.Errorf("%s: the error is %+v, want the token, this log and no common position", what, changed)
		}
	}
}

func headTravels(f *fixture) {
	f.appendMixed()
	head := f.head()
	again, err := eventstore.ParseToken(head.String())
	if err != nil || again != head {
		f.Errorf("ParseToken(%q) = %+v, %v; want %+v", head, again, err, head)
	}
	all := f.all(eventstore.ReadOptions{})
	if last := all[len(all)-1].Position; head.Position != last {
		f.Errorf("Head is at position %d, the last event at %d", head.Position, last)
	}
}
