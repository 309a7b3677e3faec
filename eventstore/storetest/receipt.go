package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var receiptClauses = []clause{
	{"keeps a receipt with the append that it came with", receipts, keepsReceipt},
	{"answers a known receipt and writes nothing", receipts, answersKnownReceipt},
	{"refuses a receipt that was used for another request", receipts, refusesReceiptMismatch},
	{"keeps no receipt of a refused append", receipts, forgetsRefusedReceipt},
	{"takes an append of no events that carries a receipt", receipts, takesEmptyAppend},
	{"keeps the receipt of a retry by ids", receipts, keepsReceiptOfRetry},
}

var receiptKeyClauses = []clause{
	{"tells receipts apart by scope and key", receipts, tellsReceiptsApart},
	{"purges the receipts stored before a time", receipts, purgesReceipts},
	{"refuses invalid receipts and takes those at the bounds", receipts, boundsReceipts},
	{"stores one append of many that carry one receipt", receipts, storesReceiptOnce},
}

func receipt(key string) *eventstore.Receipt {
	return &eventstore.Receipt{Scope: "tests", Key: key, Fingerprint: []byte("request"), Answer: []byte("answer")}
}

func (f *fixture) receipts() eventstore.ReceiptStore { return f.Store.(eventstore.ReceiptStore) }

func (f *fixture) appendWith(r *eventstore.Receipt, a eventstore.StreamAppend) (eventstore.Appended, error) {
	return f.Append(f.Context(), a, eventstore.AppendOptions{Receipt: r})
}

// wantReceipt returns a stored receipt, which must be that of the given append.
func (f *fixture) wantReceipt(r *eventstore.Receipt, appended ...eventstore.Appended) eventstore.StoredReceipt {
	f.Helper()
	got, err := f.receipts().Receipt(f.Context(), r.Scope, r.Key)
	if err != nil {
		f.Fatalf("Receipt(%q, %q): %v", r.Scope, r.Key, err)
	}
	f.wantStored(got, r, appended...)
	return got
}

func (f *fixture) wantStored(got eventstore.StoredReceipt, r *eventstore.Receipt, appended ...eventstore.Appended) {
	f.Helper()
	if got.Scope != r.Scope || got.Key != r.Key || !bytes.Equal(got.Fingerprint, r.Fingerprint) || !bytes.Equal(got.Answer, r.Answer) {
		f.Fatalf("the receipt is %+v, want %+v", got.Receipt, *r)
	}
	if len(got.Appended) != len(appended) {
		f.Fatalf("the receipt has the results %+v, want %+v", got.Appended, appended)
	}
	for i, a := range appended {
		if !sameResult(got.Appended[i], a) {
			f.Fatalf("the receipt has the result %+v, want %+v", got.Appended[i], a)
		}
	}
	if got.StoredAt.IsZero() {
		f.Errorf("the receipt has no time")
	}
}

func (f *fixture) noReceipt(key string) {
	f.Helper()
	_, err := f.receipts().Receipt(f.Context(), "tests", key)
	f.wantErr("Receipt that was not stored", err, eventstore.ErrReceiptNotFound)
}

func keepsReceipt(f *fixture) {
	f.noReceipt("k")
	r := &eventstore.Receipt{Scope: "tests", Key: "k", Fingerprint: []byte{0, 1, 0xff}, Answer: []byte("HTTP/1.1 201\r\n\x00\xff")}
	done, err := f.appendWith(r, streamAppend("order-1", eventstore.NoStream, events("a", "b")...))
	if err != nil || done.Version != 1 {
		f.Fatalf("Append with a receipt = %+v, %v; want version 1", done, err)
	}
	first := f.wantReceipt(r, done)
	bare := &eventstore.Receipt{Scope: "tests", Key: "bare"}
	done, err = f.appendWith(bare, streamAppend("order-1", eventstore.Exact(1), event("c")))
	if err != nil {
		f.Fatalf("Append with a bare receipt: %v", err)
	}
	f.wantReceipt(bare, done)
	// Callers may change what they were given.
	first.Answer[0], r.Answer[0] = 'X', 'H'
	f.wantReceipt(r, first.Appended...)
	f.wantLabels("ReadStream", f.stream("order-1", eventstore.ReadOptions{}), "a", "b", "c")
}

// The retry decides anew, so its events have other ids, or none, or are other
// events; the receipt alone tells that it is one.
func answersKnownReceipt(f *fixture) {
	f.append("order-1", eventstore.NoStream, event("z"))
	done, err := f.appendWith(receipt("k"), streamAppend("order-1", eventstore.Exact(0), event("a")))
	if err != nil {
		f.Fatalf("Append with a receipt: %v", err)
	}
	f.append("order-1", eventstore.Exact(1), event("b"))
	for _, a := range []eventstore.StreamAppend{
		streamAppend("order-1", eventstore.Exact(0), event("a")),
		streamAppend("order-1", eventstore.Exact(2), events("a", "c")...),
		streamAppend("order-1", eventstore.Any, eventstore.Event{Type: "Happened"}),
		streamAppend("order-2", eventstore.StreamExists, event("a")),
		streamAppend("order-1", eventstore.Any),
	} {
		retry := receipt("k")
		retry.Answer = []byte("another answer")
		f.refused("Append with a known receipt", eventstore.ErrReceiptKnown, func() error {
			_, err := f.appendWith(retry, a)
			var known *eventstore.ReceiptKnownError
			if errors.As(err, &known) {
				f.wantStored(known.Stored, receipt("k"), done)
			}
			return err
		})
	}
}

func refusesReceiptMismatch(f *fixture) {
	list := events("a")
	if _, err := f.appendWith(receipt("k"), streamAppend("order-1", eventstore.NoStream, list...)); err != nil {
		f.Fatalf("Append with a receipt: %v", err)
	}
	for _, fingerprint := range []string{"", "request 2", "Request"} {
		other := receipt("k")
		other.Fingerprint = []byte(fingerprint)
		f.refused("Append with a receipt of another request", eventstore.ErrReceiptMismatch, func() error {
			_, err := f.appendWith(other, streamAppend("order-1", eventstore.NoStream, list...))
			var mismatch *eventstore.ReceiptMismatchError
			if errors.As(err, &mismatch) && *mismatch != (eventstore.ReceiptMismatchError{Scope: "tests", Key: "k"}) {
				f.Errorf("the error is %+v, want scope tests and key k", mismatch)
			}
			return err
		})
	}
}

// The caller tries again with the same key, at another version.
func forgetsRefusedReceipt(f *fixture) {
	stored := event("a")
	f.append("order-1", eventstore.NoStream, stored)
	other := stored
	other.Data = []byte("A")
	for _, c := range []struct {
		a    eventstore.StreamAppend
		want error
	}{
		{streamAppend("order-1", eventstore.NoStream, event("b")), eventstore.ErrConflict},
		{streamAppend("order-1", eventstore.Exact(7)), eventstore.ErrConflict},
		{streamAppend("order-1", eventstore.Any, other), eventstore.ErrIDReused},
		{streamAppend("", eventstore.Any, event("b")), eventstore.ErrInvalid},
	} {
		_, err := f.appendWith(receipt("k"), c.a)
		f.wantErr("Append with a receipt", err, c.want)
		f.noReceipt("k")
	}
	done, err := f.appendWith(receipt("k"), streamAppend("order-1", eventstore.Exact(0), event("b")))
	if err != nil {
		f.Fatalf("Append with the key of a refused append: %v", err)
	}
	f.wantReceipt(receipt("k"), done)
}

// A command that was refused, or had nothing to do, is answered the same way
// when it is sent again.
func takesEmptyAppend(f *fixture) {
	f.append("order-1", eventstore.NoStream, events("a", "b")...)
	for i, c := range []struct {
		stream   string
		expected eventstore.ExpectedVersion
		version  int64
	}{
		{"order-1", eventstore.Any, 1},
		{"order-1", eventstore.Exact(1), 1},
		{"order-1", eventstore.StreamExists, 1},
		{"order-2", eventstore.Any, -1},
		{"order-2", eventstore.NoStream, -1},
	} {
		r := receipt(fmt.Sprint("k", i))
		f.refusedOrRepeated("an append of no events", func() error {
			done, err := f.appendWith(r, streamAppend(c.stream, c.expected))
			if err == nil && (done.Stream != c.stream || done.Version != c.version || done.Position != 0 || done.Duplicate) {
				f.Errorf("Append of no events to %q = %+v, want version %d and position 0", c.stream, done, c.version)
			}
			return err
		})
		f.wantReceipt(r, eventstore.Appended{Stream: c.stream, Version: c.version})
		_, err := f.appendWith(r, streamAppend(c.stream, c.expected))
		f.wantErr("Append of no events again", err, eventstore.ErrReceiptKnown)
	}
	_, err := f.appendWith(receipt("stale"), streamAppend("order-1", eventstore.Exact(0)))
	f.wantErr("Append of no events at a stale version", err, eventstore.ErrConflict)
	f.noReceipt("stale")
}

// After the receipt was purged, or under a new key, the ids still tell.
func keepsReceiptOfRetry(f *fixture) {
	a := streamAppend("order-1", eventstore.NoStream, events("a", "b")...)
	first := f.append("order-1", a.Expected, a.Events...)
	f.append("order-1", eventstore.Exact(1), event("c"))
	f.refusedOrRepeated("a retry with a new receipt", func() error {
		done, err := f.appendWith(receipt("k"), a)
		if err == nil && (!done.Duplicate || !sameResult(done, first)) {
			f.Errorf("a retry with a new receipt = %+v, want %+v as a duplicate", done, first)
		}
		return err
	})
	f.wantReceipt(receipt("k"), first)
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
