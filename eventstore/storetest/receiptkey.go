package storetest

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

var receiptKeyClauses = []clause{
	{"tells receipts apart by scope and key", receipts, tellsReceiptsApart},
	{"purges the receipts stored before a time", receipts, purgesReceipts},
	{"refuses invalid receipts and takes those at the bounds", receipts, boundsReceipts},
	{"stores one append of many that carry one receipt", receipts, storesReceiptOnce},
	{"counts a receipt for as long as the next one says", receipts, countsReceiptFor},
	{"appends once what is sent again within a window", receipts, appendsOnce},
}

// A separator between scope and key must not be something that both may hold.
func tellsReceiptsApart(f *fixture) {
	pairs := [][2]string{{"a", "b"}, {"a", "b "}, {"A", "b"}, {"b", "a"}, {"a:b", "c"}, {"a", "b:c"}, {"ab", "c"}, {"a", "bc"}, {"ä", "%"}}
	var done []eventstore.Appended
	for i, p := range pairs {
		r := &eventstore.Receipt{Scope: p[0], Key: p[1], Answer: fmt.Append(nil, i)}
		appended, err := f.appendWith(r, streamAppend("order-1", eventstore.Any, event(fmt.Sprint(i))))
		if err != nil {
			f.Fatalf("Append with receipt %q of %q: %v", p[1], p[0], err)
		}
		done = append(done, appended)
	}
	for i, p := range pairs {
		f.wantReceipt(&eventstore.Receipt{Scope: p[0], Key: p[1], Answer: fmt.Append(nil, i)}, done[i])
	}
}

func purgesReceipts(f *fixture) {
	old, recent := receipt("old"), receipt("recent")
	for _, r := range []*eventstore.Receipt{old, recent} {
		if _, err := f.appendWith(r, streamAppend("order-1", eventstore.Any, event(r.Key))); err != nil {
			f.Fatalf("Append with a receipt: %v", err)
		}
	}
	oldAt := f.wantReceipt(old, f.result(0)).StoredAt
	recentAt := f.wantReceipt(recent, f.result(1)).StoredAt
	want := int64(0)
	if oldAt.Before(recentAt) {
		want = 1
	}
	f.purges(oldAt, 0)
	f.purges(recentAt, want)
	f.wantReceipt(recent, f.result(1))
	f.purges(recentAt.Add(time.Second), 2-want)
	f.noReceipt("old")
	f.noReceipt("recent")
	f.purges(recentAt.Add(time.Hour), 0)
	f.wantLabels("ReadStream after the purge", f.stream("order-1", eventstore.ReadOptions{}), "old", "recent")
	if _, err := f.appendWith(old, streamAppend("order-1", eventstore.Any, event("old again"))); err != nil {
		f.Errorf("Append with a purged receipt: %v", err)
	}
}

// result is what the append of the event of a version to order-1 returned.
func (f *fixture) result(version int64) eventstore.Appended {
	e := f.stream("order-1", eventstore.ReadOptions{From: version, Limit: 1})[0]
	return eventstore.Appended{Stream: e.Stream, Version: e.Version, Position: e.Position}
}

func (f *fixture) purges(before time.Time, want int64) {
	f.Helper()
	n, err := f.receipts().PurgeReceipts(f.Context(), before)
	if err != nil || n != want {
		f.Fatalf("PurgeReceipts = %d, %v; want %d", n, err, want)
	}
}

func boundsReceipts(f *fixture) {
	text := func(n int) string { return strings.Repeat("k", n) }
	for _, c := range []struct {
		r    eventstore.Receipt
		want error
	}{
		{eventstore.Receipt{Scope: text(255), Key: text(255), Fingerprint: make([]byte, 64), Answer: make([]byte, 64<<10)}, nil},
		{eventstore.Receipt{Scope: "", Key: "k"}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: ""}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: text(256), Key: "k"}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: text(256)}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: "k\x00"}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s\xff", Key: "k"}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: "k", Fingerprint: make([]byte, 65)}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: "k", Answer: make([]byte, 64<<10+1)}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: "k", Window: -1}, eventstore.ErrInvalid},
		{eventstore.Receipt{Scope: "s", Key: "k", Window: 24*time.Hour + 1}, eventstore.ErrInvalid},
	} {
		append := func() error {
			_, err := f.appendWith(&c.r, streamAppend("order-1", eventstore.Any, event("a")))
			return err
		}
		if c.want != nil {
			f.refused("Append with an invalid receipt", c.want, append)
		} else if err := append(); err != nil {
			f.Errorf("Append with a receipt at the bounds: %v", err)
		}
	}
}

// What is older than the window of an append makes room for it, and the new one counts from then on.
func countsReceiptFor(f *fixture) {
	first, second := receipt("k"), receipt("k")
	if _, err := f.appendWith(first, streamAppend("order-1", eventstore.Any, event("first"))); err != nil {
		f.Fatalf("Append with a receipt: %v", err)
	}
	second.Window = time.Hour
	f.refused("Append with the receipt within its window", eventstore.ErrReceiptKnown, func() error {
		_, err := f.appendWith(second, streamAppend("order-1", eventstore.Any, event("too early")))
		return err
	})
	f.wantReceipt(first, f.result(0))
	second.Window, second.Answer = time.Microsecond, []byte("another")
	var done eventstore.Appended
	err := eventstore.ErrReceiptKnown
	for range 100 { // until a microsecond is over by the clock of the store
		if errors.Is(err, eventstore.ErrReceiptKnown) {
			time.Sleep(time.Microsecond)
			done, err = f.appendWith(second, streamAppend("order-1", eventstore.Any, event("second")))
		}
	}
	if err != nil {
		f.Fatalf("Append with the receipt behind its window: %v", err)
	}
	f.wantReceipt(second, done)
	f.refused("Append with the receipt that took its place", eventstore.ErrReceiptKnown, func() error {
		_, err := f.appendWith(receipt("k"), streamAppend("order-1", eventstore.Any, event("third")))
		return err
	})
	f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), "first", "second")
}

func appendsOnce(f *fixture) {
	once := func(stream, label string, d eventstore.Dedup) eventstore.Appended {
		f.Helper()
		a := streamAppend(stream, eventstore.Any, event(label))
		for i := range a.Events { // who does not know them sends others each time
			a.Events[i].ID, a.Events[i].Metadata = uuid.Nil, []byte(fmt.Sprint(time.Now().UnixNano()))
		}
		done, err := eventstore.AppendOnce(f.Context(), f.Store, a, d)
		if err != nil {
			f.Fatalf("AppendOnce(%q, %q, %+v): %v", stream, label, d, err)
		}
		return done
	}
	one := eventstore.Dedup{Key: "one"}
	first := once("order-1", "a", one)
	for name, c := range map[string]struct {
		stream, label string
		d             eventstore.Dedup
		same          bool
	}{
		"its key again":             {"order-1", "b", one, true},
		"its key in another stream": {"order-2", "a", one, false},
		"another key":               {"order-1", "a", eventstore.Dedup{Key: "two"}, false},
		"its key among all":         {"order-1", "a", eventstore.Dedup{Key: "one", Scope: eventstore.DedupAll}, false},
		"the content as a key":      {"order-1", "a", eventstore.Dedup{}, false},
	} {
		if done := once(c.stream, c.label, c.d); done.Duplicate != c.same || c.same && (done.Version != first.Version || done.Position != first.Position || done.Stream != first.Stream) {
			f.Errorf("AppendOnce of %s = %+v, the first was %+v, want the same: %v", name, done, first, c.same)
		}
	}
	if done := once("order-3", "a", eventstore.Dedup{Key: "one", Scope: eventstore.DedupAll}); !done.Duplicate || done.Stream != "order-1" {
		f.Errorf("AppendOnce of a key among all = %+v, want what went to order-1", done)
	}
	if done := once("order-1", "a", eventstore.Dedup{}); !done.Duplicate {
		f.Errorf("AppendOnce of content that is there = %+v, want that", done)
	}
	if done := once("order-1", "b", eventstore.Dedup{}); done.Duplicate {
		f.Errorf("AppendOnce of other content = %+v, want that it is written", done)
	}
	f.refused("AppendOnce in a scope that is none", eventstore.ErrInvalid, func() error {
		_, err := eventstore.AppendOnce(f.Context(), f.Store, streamAppend("order-1", eventstore.Any, event("x")), eventstore.Dedup{Scope: "key"})
		return err
	})
}

// A client that sends a request twice at once must not place two orders.
func storesReceiptOnce(f *fixture) {
	const n = 12
	var done [n]eventstore.Appended
	f.concurrently(n, func(i int) error {
		appended, err := f.appendWith(receipt("k"), streamAppend("order-1", eventstore.Any, event(fmt.Sprint(i))))
		var known *eventstore.ReceiptKnownError
		if errors.As(err, &known) && len(known.Stored.Appended) == 1 {
			appended, err = known.Stored.Appended[0], nil
		}
		done[i] = appended
		return err
	})
	for _, a := range done {
		if !sameResult(a, done[0]) {
			f.Errorf("appends with one receipt were answered %+v and %+v", a, done[0])
		}
	}
	if got := f.stream("order-1", eventstore.ReadOptions{}); len(got) != 1 {
		f.Errorf("ReadStream yields %q, want one event", labels(got))
	}
}
