package trials

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgproxy"
	"github.com/57528e99/recount/internal/validate"
)

// What is retried is there once.
var onceTrials = map[failpoint.Fault]trial{
	failpoint.IDsNotLookedUp:     {rule: validate.RuleIDsOnce, run: retriedWithIDs},
	failpoint.SuppliedIDReplaced: {rule: validate.RuleAcked, run: retriedWithIDs},
	failpoint.IDsBeforeLock:      {rule: validate.RuleIDsOnce, run: retriedAtOnce},
	failpoint.ReceiptsUnchecked:  {rule: validate.RuleRetries, run: retriedWithReceipt},
	failpoint.ReceiptApart:       {rule: validate.RuleIDsOnce, processes: true, run: retriedAfterKill},
	failpoint.BlindRetry:         {rule: validate.RuleIDsOnce, run: answerLost},
	failpoint.BareLookUp:         {rule: validate.RuleIDsOnce, run: commitLate},
}

// retriedWithIDs retries an append, in another process too.
func retriedWithIDs(w *world) {
	w.withoutKeys()
	a := happened("order-1", 1, 2)
	a.Events[0].ID, a.Events[1].ID = uuid.New(), uuid.New()
	for _, s := range []*pgstore.Store{w.open(), w.open()} {
		for range 2 {
			w.mustAppend(s, a)
		}
	}
	w.judge(nil)
}

// retriedAtOnce lets two processes append the same events when the log is free.
func retriedAtOnce(w *world) {
	w.withoutKeys()
	first, a := happened("order-1", 0, 1), happened("order-1", 1, 1)
	first.Events[0].ID, a.Events[0].ID = uuid.New(), uuid.New()
	w.mustAppend(w.open(), first)
	var clients sync.WaitGroup
	w.locked(func() {
		for _, client := range []string{"one", "other"} {
			s := w.open()
			clients.Go(func() { _, _ = w.append(s, client, a, nil) })
		}
		if !eventually(w.Context(), 30*time.Second, w.waiting(2)) {
			w.Fatal("the appends do not wait for the lock")
		}
	})
	clients.Wait()
	w.judge(nil)
}

func receipt() *eventstore.Receipt {
	return &eventstore.Receipt{Scope: "trial", Key: "1", Fingerprint: []byte("f")}
}

// retriedWithReceipt retries an append that has no ids, but a receipt.
func retriedWithReceipt(w *world) {
	w.withoutKeys()
	for _, s := range []*pgstore.Store{w.open(), w.open()} {
		_, err := w.append(s, "client", happened("order-1", 1, 1), receipt())
		w.must(err)
	}
	w.judge(byContent)
}

// retriedAfterKill kills a process between its commit and its answer, and retries in another.
func retriedAfterKill(w *world) {
	w.dies(w.spawn("receiver", "append/committed=kill@1"))
	_, err := w.append(w.open(), "client", happened("order-1", 1, 1), receipt())
	w.must(err)
	w.judge(byContent)
}

// runReceiver is a process that appends once, with a receipt.
func runReceiver(ctx context.Context, _ *pgxpool.Pool, s *pgstore.Store) error {
	_, err := s.Append(ctx, happened("order-1", 1, 1), eventstore.AppendOptions{Receipt: receipt()})
	return err
}

// proxied returns a store behind a proxy, which does at one COMMIT what is stored in fault.
func (w *world) proxied() (s *pgstore.Store, proxy *pgproxy.Proxy, fault *atomic.Int32) {
	w.Helper()
	fault = new(atomic.Int32)
	proxy, err := pgproxy.Start(w.db.DSN, func() pgproxy.Fault { return pgproxy.Fault(fault.Swap(int32(pgproxy.None))) })
	w.must(err)
	w.Cleanup(func() { w.must(proxy.Close()) })
	s = w.open(func(c *pgstore.Config) { c.Pool, c.NoListen = w.pool(proxy.DSN()), true })
	return s, proxy, fault
}

// answerLost loses the answer to a COMMIT.
func answerLost(w *world) {
	s, _, fault := w.proxied()
	w.mustAppend(s, happened("order-1", 0, 1))
	fault.Store(int32(pgproxy.CutAfter))
	w.mustAppend(s, happened("order-1", 1, 1))
	w.judge(byContent)
}

// commitLate has a COMMIT whose client has given it up happen while the client looks for it.
func commitLate(w *world) {
	s, proxy, fault := w.proxied()
	w.mustAppend(s, happened("order-1", 0, 1))
	var client sync.WaitGroup
	w.locked(func() {
		fault.Store(int32(pgproxy.Hold))
		client.Go(func() { _, _ = w.append(s, "client", happened("order-1", 1, 1), nil) })
		// It comes to wait for the lock before the one that looks for it.
		first := w.waiting(1)
		if !eventually(w.Context(), 30*time.Second, func() bool { proxy.Release(); return first() }) {
			w.Fatal("the append that was lost does not come to the server")
		}
		if !eventually(w.Context(), 30*time.Second, w.waiting(2)) {
			w.Fatal("nobody looks for the append that was lost")
		}
	})
	client.Wait()
	w.judge(byContent)
}
