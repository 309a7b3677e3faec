package trials

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/tests/pgproxy"
)

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

// proxied returns a store behind a proxy that does at each COMMIT what choose says.
func (w *world) proxied(choose func() pgproxy.Fault, change ...func(*pgxpool.Config)) (*pgstore.Store, *pgproxy.Proxy) {
	w.Helper()
	proxy, err := pgproxy.Start(w.db.DSN, choose)
	w.must(err)
	w.Cleanup(func() { w.must(proxy.Close()) })
	return w.open(func(c *pgstore.Config) { c.Pool, c.NoListen = w.pool(proxy.DSN(), change...), true }), proxy
}

// answerLost loses the answer to a COMMIT.
func answerLost(w *world) {
	var lose atomic.Bool
	s, _ := w.proxied(func() pgproxy.Fault {
		if lose.CompareAndSwap(true, false) {
			return pgproxy.CutAfter
		}
		return pgproxy.None
	})
	w.mustAppend(s, happened("order-1", 0, 1))
	lose.Store(true)
	w.mustAppend(s, happened("order-1", 1, 1))
	w.judge(byContent)
}

// commitLate has a COMMIT whose client has given it up happen while the client looks for it.
func commitLate(w *world) {
	var hold, lost atomic.Bool
	held, look := make(chan struct{}), make(chan struct{})
	s, proxy := w.proxied(func() pgproxy.Fault {
		if hold.CompareAndSwap(true, false) {
			lost.Store(true)
			close(held)
			return pgproxy.Hold
		}
		return pgproxy.None
	}, func(c *pgxpool.Config) {
		c.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
			if lost.Load() {
				select {
				case <-look:
				case <-ctx.Done():
				}
			}
			return true, nil
		}
	})
	w.mustAppend(s, happened("order-1", 0, 1))
	hold.Store(true)
	var client sync.WaitGroup
	w.locked(func() {
		client.Go(func() { _, _ = w.append(s, "client", happened("order-1", 1, 1), nil) })
		<-held
		proxy.Release()
		// The append comes to wait for the lock before the client that looks for it does.
		if !eventually(w.Context(), 30*time.Second, w.waiting(1)) {
			w.Fatal("the append that was lost does not come to the server")
		}
		close(look)
		if !eventually(w.Context(), 30*time.Second, w.waiting(2)) {
			w.Fatal("nobody looks for the append that was lost")
		}
	})
	client.Wait()
	w.judge(byContent)
}
