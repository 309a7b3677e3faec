package trials

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// deliver records what a subscription is given from a place on until it has come to a position, or
// too much time is over.
func (w *world) deliver(s *pgstore.Store, session int, o eventstore.ReadOptions, to int64) {
	w.Helper()
	w.follow(s, session, o, func(next int64) bool { return next <= to })
}

// follow is deliver until more, which is told where the next batch begins, says that it is enough.
// It reports whether that happened.
func (w *world) follow(s *pgstore.Store, session int, o eventstore.ReadOptions, more func(next int64) bool) (enough bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), 5*time.Second)
	defer cancel()
	from := o.After.Position + 1
	for b, err := range s.Subscribe(ctx, o) {
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		w.must(err)
		w.recorder.Batch(logcheck.BatchOf("reader", session, from, b))
		if from = b.Next; !more(from) {
			return true
		}
	}
	return false
}

// judgeReaders checks what was delivered; all of it was to come to the head.
func (w *world) judgeReaders() {
	w.Helper()
	h, l := w.recorder.History(), w.log(nil)
	w.caught(logcheck.Deliveries(&h, l, logcheck.DeliveryOptions{Head: l.Head()})...)
}

// readAcross follows a log to which another process has appended in between.
func readAcross(w *world) {
	here, elsewhere := w.open(), w.open()
	w.mustAppend(here, happened("order-1", 0, 1))
	w.mustAppend(elsewhere, happened("order-2", 0, 2))
	end := w.mustAppend(here, happened("order-3", 0, 2))
	w.deliver(here, 1, eventstore.ReadOptions{}, end.Position)
	w.judgeReaders()
}

// deaf follows a log without being notified of what others append.
func deaf(w *world) {
	here := w.open(func(c *pgstore.Config) { c.NoListen = true })
	w.arrives(here, w.open())
}

// besideOldTransaction follows a log while somebody is in a transaction that does not end.
func besideOldTransaction(w *world) {
	tx, err := w.db.Pool.Begin(w.Context())
	w.must(err)
	defer func() { w.must(tx.Rollback(context.WithoutCancel(w.Context()))) }()
	var id int64
	w.must(tx.QueryRow(w.Context(), `SELECT txid_current()`).Scan(&id))
	w.arrives(w.open(), w.open())
}

// arrives checks that one process is given what another appends in good time.
func (w *world) arrives(here, elsewhere *pgstore.Store) {
	w.Helper()
	w.mustAppend(here, happened("order-1", 0, 1))
	now := time.Now()
	recovery := logcheck.Recovery{Over: now, Appended: now, AtHead: map[string]time.Time{"the reader": {}}}
	// The second event comes when the reader waits for it.
	arrived := w.follow(here, 1, eventstore.ReadOptions{}, func(next int64) bool {
		if next == 2 {
			w.mustAppend(elsewhere, happened("order-2", 0, 1))
		}
		return next < 3
	})
	if arrived {
		recovery.AtHead["the reader"] = time.Now()
	}
	w.caught(logcheck.Converged(recovery, 5*time.Second, 5*time.Second)...)
}

// damaged reads a log from which somebody has removed an event.
func damaged(w *world) {
	s := w.open()
	for n := range 3 {
		w.mustAppend(s, happened("order-1", n, 1))
	}
	w.exec(`DELETE FROM recount.events WHERE position = 2`)
	var read []int64
	var end error
	for e, err := range w.open().ReadAll(w.Context(), eventstore.ReadOptions{}) {
		if end = err; err == nil {
			read = append(read, e.Position)
		}
	}
	w.want(errors.Is(end, eventstore.ErrCorrupt), "positions %d were read, and the read ended with %v", read, end)
}

// largeAppends follows a log of appends that are larger than a page.
func largeAppends(w *world) {
	var end eventstore.Appended
	s := w.open()
	for n := range 5 {
		end = w.mustAppend(s, happened("order-1", 10*n, 10))
	}
	w.deliver(w.open(), 1, eventstore.ReadOptions{PageSize: 3}, end.Position)
	w.judgeReaders()
}

// resumed follows a log in two sessions.
func resumed(w *world) {
	s := w.open()
	first := w.mustAppend(s, happened("order-1", 0, 1))
	w.deliver(s, 1, eventstore.ReadOptions{}, first.Position)
	w.mustAppend(s, happened("order-1", 1, 1))
	last := w.mustAppend(s, happened("order-1", 2, 1))
	w.deliver(w.open(), 2, eventstore.ReadOptions{After: first.Token}, last.Position)
	w.judgeReaders()
}

// truncated reads a stream that does not show its beginning.
func truncated(w *world) {
	s := w.open()
	w.mustAppend(s, happened("order-1", 0, 5))
	w.must(s.SetStreamMetadata(w.Context(), "order-1", eventstore.StreamMetadata{TruncateBefore: 3}))
	var shown []int64
	for e, err := range s.ReadStream(w.Context(), "order-1", eventstore.ReadOptions{}) {
		w.must(err)
		shown = append(shown, e.Version)
	}
	w.want(len(shown) == 2 && shown[0] == 3, "versions %d are shown, want 3 and 4", shown)
}

// restored makes the database look like one that was restored, elsewhere, as it was at position 1.
func (w *world) restored() {
	w.Helper()
	w.exec(`DELETE FROM recount.streams WHERE id > 1`)
	w.exec(`DELETE FROM recount.events WHERE position > 1`)
	w.exec(`UPDATE recount.log_incarnations SET system_identifier = 1`)
}

// readInAnotherLife resumes behind an event that a restore has taken away.
func readInAnotherLife(w *world) {
	s := w.open()
	w.mustAppend(s, happened("order-1", 0, 1))
	lost := w.mustAppend(s, happened("order-1", 1, 1))
	w.restored()
	s = w.open()
	_, _, err := s.Adopt(w.Context())
	w.must(err)
	for n := range 3 {
		w.mustAppend(s, happened("order-2", n, 1))
	}
	var end error
	for _, err := range s.ReadAll(w.Context(), eventstore.ReadOptions{After: lost.Token}) {
		end = err
	}
	w.want(errors.Is(end, eventstore.ErrLogChanged), "a reader behind an event that is gone goes on: %v", end)
}

// appendElsewhere appends to a copy that nobody has adopted.
func appendElsewhere(w *world) {
	w.mustAppend(w.open(), happened("order-1", 0, 1))
	w.restored()
	_, err := w.append(w.open(func(c *pgstore.Config) { c.RetryTimeout = time.Millisecond }), "client", happened("order-2", 0, 1), nil)
	w.want(errors.Is(err, pgstore.ErrNotAdopted), "an append to a copy of the log ended with %v", err)
}
