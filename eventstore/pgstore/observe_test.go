package pgstore_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/tests/pgproxy"
)

// observer keeps what a store tells.
type observer struct {
	mu      sync.Mutex
	appends []pgstore.AppendObservation
	batches chan pgstore.BatchObservation
}

func (o *observer) attach(c *pgstore.Config) {
	o.batches = make(chan pgstore.BatchObservation, 100)
	c.ObserveBatch = func(b pgstore.BatchObservation) { o.batches <- b }
	c.ObserveAppend = func(a pgstore.AppendObservation) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.appends = append(o.appends, a)
	}
}

// batch returns the next batch but for its duration, which it checks.
func (o *observer) batch(t *testing.T) pgstore.BatchObservation {
	t.Helper()
	select {
	case b := <-o.batches:
		if b.Duration <= 0 {
			t.Errorf("duration of the batch = %s, want more than 0", b.Duration)
		}
		b.Duration = 0
		return b
	case <-time.After(time.Minute):
		t.Fatal("no batch was observed")
		return pgstore.BatchObservation{}
	}
}

func TestAppendsAndBatchesAreObserved(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	var f faults
	_, pool := throughProxy(t, db, f.choose)
	var o observer
	s := open(t, db, func(c *pgstore.Config) { c.Pool = pool; o.attach(c) })

	mustAppend(t, s, happened("a-1", 1))
	if got, want := o.batch(t), (pgstore.BatchObservation{Appends: 1, Events: 1}); got != want {
		t.Errorf("first batch = %+v, want %+v", got, want)
	}
	mustAppend(t, s, happened("a-1", 2))
	if got, want := o.batch(t), (pgstore.BatchObservation{Appends: 1, Events: 1, Fast: true}); got != want {
		t.Errorf("second batch = %+v, want %+v", got, want)
	}
	late := happened("a-1", 3)
	late.Expected = eventstore.Exact(0)
	receipt := eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "s", Key: "k"}}
	if _, err := s.Append(t.Context(), late, receipt); !errors.Is(err, eventstore.ErrConflict) {
		t.Fatalf("append at an old version: %v, want a conflict", err)
	}
	if got, want := o.batch(t), (pgstore.BatchObservation{Appends: 1}); got != want {
		t.Errorf("batch of a refused append = %+v, want %+v", got, want)
	}
	late.Expected = eventstore.Any
	if _, err := s.Append(t.Context(), late, receipt); err != nil {
		t.Fatal(err)
	}
	if got := o.batch(t); got.Receipts != 1 {
		t.Errorf("batch of an append with a receipt = %+v, want one receipt", got)
	}
	for fault, landed := range map[pgproxy.Fault]bool{pgproxy.CutAfter: true, pgproxy.CutBefore: false} {
		f.plant(fault)
		mustAppend(t, s, happened("a-1", 4))
		if got, want := o.batch(t), (pgstore.BatchObservation{Appends: 1, Events: 1, Unknown: true, Landed: landed}); got != want {
			t.Errorf("batch of a lost commit = %+v, want %+v", got, want)
		}
	}
	if len(o.appends) != 6 {
		t.Fatalf("%d appends were observed, want 6", len(o.appends))
	}
	for i, a := range o.appends {
		if a.Events != 1 || a.Duration <= 0 || errors.Is(a.Err, eventstore.ErrConflict) != (i == 2) {
			t.Errorf("append %d = %+v", i, a)
		}
	}
}

// What a receipt is to count for must not be longer than it is kept: a second append would be one more, and nobody would know.
func TestAReceiptCountsForNoLongerThanItIsKept(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db, func(c *pgstore.Config) { c.ReceiptTTL = 4 * time.Minute })
	receipt := func(window time.Duration) eventstore.AppendOptions {
		return eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "s", Key: "k", Window: window}}
	}
	_, queued := s.Append(t.Context(), happened("a-1", 1), receipt(5*time.Minute))
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, inTx := s.AppendCommit(t.Context(), tx, []eventstore.StreamAppend{happened("a-1", 1)}, receipt(5*time.Minute))
	_, once := eventstore.AppendOnce(t.Context(), s, happened("a-1", 1), eventstore.Dedup{})
	for _, err := range []error{queued, inTx, once} {
		if !errors.Is(err, eventstore.ErrInvalid) || !strings.Contains(err.Error(), "receipt.window must be at most 4m0s, for as long as receipts are kept") {
			t.Errorf("a window of five minutes: %v", err)
		}
	}
	if _, err := s.Append(t.Context(), happened("a-1", 1), receipt(4*time.Minute)); err != nil {
		t.Error(err)
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	mustAppend(t, s, happened("a-1", 1))
	receipt := eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "s", Key: "k"}}
	if _, err := s.Append(t.Context(), happened("a-1", 2), receipt); err != nil {
		t.Fatal(err)
	}
	if _, err := s.PurgeReceipts(t.Context(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for range s.Subscribe(t.Context(), eventstore.ReadOptions{}) {
		if got, want := s.Stats(), (pgstore.Stats{Head: 2, Subscriptions: 1, ReceiptsPurged: 1}); got != want {
			t.Errorf("Stats = %+v, want %+v", got, want)
		}
		break
	}
	if got := s.Stats().Subscriptions; got != 0 {
		t.Errorf("%d subscriptions after the end of the only one", got)
	}
	release := lockLog(t, db)
	done := make(chan error, 2)
	for range 2 { // one is taken and waits for the lock, the other waits in the queue
		go func() {
			_, err := s.Append(t.Context(), happened("a-1", 3), eventstore.AppendOptions{})
			done <- err
		}()
		waitForLock(t, db)
	}
	eventually(t, "an append waits", func() bool {
		st := s.Stats()
		return st.QueuedAppends == 1 && st.QueuedBytes > 0
	})
	release()
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}
