package storetest

import (
	"bytes"
	"errors"
	"fmt"

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
