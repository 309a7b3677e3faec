package trials

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

func contendWithoutKeys(w *world) {
	w.withoutKeys()
	contend(w)
}

// contend lets clients of two processes append to the same few streams.
func contend(w *world) {
	stores := []*pgstore.Store{w.open(), w.open()}
	rounds := 2
	if w.mutant {
		rounds = 40
	}
	for range rounds {
		var clients sync.WaitGroup
		for c := range 8 {
			clients.Go(func() {
				for n := range 20 {
					w.contendOnce(stores[c%2], fmt.Sprint("client ", c), fmt.Sprint("order-", (c/2+n)%3))
				}
			})
		}
		clients.Wait()
		if w.judge(nil) {
			return
		}
	}
}

// contendOnce appends to a stream at the version that it has, or wherever it is.
func (w *world) contendOnce(s *pgstore.Store, client, stream string) {
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any, Events: []eventstore.Event{{ID: uuid.New(), Type: "Happened"}}}
	read := logcheck.ReadOf(client, stream)
	var last []eventstore.RecordedEvent
	for e, err := range s.ReadStream(w.Context(), stream, eventstore.ReadOptions{Backwards: true, From: eventstore.End, Limit: 1}) {
		if err == nil {
			last = append(last, e)
		}
	}
	read = read.Saw(last...)
	w.recorder.Read(read)
	if read.Version%4 != 3 {
		a.Expected = eventstore.NoStream
		if read.Version >= 0 {
			a.Expected = eventstore.Exact(read.Version)
		}
	}
	// What an error must not be is for the rules to say: with a fault in it anything may happen.
	_, _ = w.append(s, client, a, nil)
}

// killedBeforeCommit kills a process while it is about to commit its twentieth append.
func killedBeforeCommit(w *world) {
	path := filepath.Join(w.TempDir(), "history")
	process := w.spawn("appender", "append/judged=delay:1m@20", envHistory+"="+path)
	var h logcheck.History
	acked := func(n int) func() bool {
		return func() bool {
			h, _ = logcheck.Load(path) // not there yet, at first
			return len(h.Appends) > n && h.Appends[n-1].Outcome == logcheck.Acked
		}
	}
	if !eventually(w.Context(), time.Minute, acked(15)) {
		w.Fatalf("the process came to append %d times", len(h.Appends))
	}
	// It is not to be told of one that is still to be committed; give it the time.
	eventually(w.Context(), time.Second, acked(21))
	w.must(process.Process.Kill())
	w.dies(process)
	w.caught(logcheck.Check(&h, w.log(byContent), logcheck.Options{})...)
}

// killedServer kills PostgreSQL right behind an acknowledged append.
func killedServer(w *world) {
	dir := pgtest.DataDir(w)
	server := pgtest.NewServer(w, pgembed.Config{DataDir: dir})
	_, err := migrations.Up(w.Context(), server.DSN(pgembed.Database), w.db.Schema)
	w.must(err)
	s, err := pgstore.Open(w.Context(), pgstore.Config{Pool: w.pool(server.DSN(pgembed.Database)), RetryTimeout: time.Millisecond, SettleTimeout: time.Millisecond})
	w.must(err)
	for n := range 50 {
		w.mustAppend(s, happened("order-1", n, 1))
	}
	w.must(syscall.Kill(server.PID(), syscall.SIGKILL))
	<-server.Stopped()
	closing, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	_ = s.Close(closing) // its database is gone
	w.must(server.Stop())
	server = pgtest.NewServer(w, pgembed.Config{DataDir: dir})
	l, err := pglog.Read(w.Context(), w.pool(server.DSN(pgembed.Database)), w.db.Schema, byContent)
	w.must(err)
	h := w.recorder.History()
	w.caught(logcheck.Check(&h, l, logcheck.Options{})...)
}

// newTypesInTransactions appends events of new types in the caller's transactions, and counts
// connections.
func newTypesInTransactions(w *world) {
	s := w.open(func(c *pgstore.Config) { c.NoListen, c.PollInterval = true, time.Hour })
	counts := func() map[string]int {
		counts, err := pglog.Connections(w.Context(), w.db.Pool)
		w.must(err)
		return counts
	}
	once := func(n int) {
		tx, err := w.db.Pool.Begin(w.Context())
		w.must(err)
		a := eventstore.StreamAppend{Stream: "order-1", Expected: eventstore.Any, Events: []eventstore.Event{{Type: fmt.Sprint("New", n)}}}
		_, err = s.AppendCommit(w.Context(), tx, []eventstore.StreamAppend{a}, eventstore.AppendOptions{})
		w.must(err)
	}
	once(0)
	before := counts()
	for n := range 5 {
		once(1 + n)
	}
	var leaks []logcheck.Violation
	eventually(w.Context(), 2*time.Second, func() bool { // the server takes a moment to see a session end
		leaks = logcheck.Leaks(before, counts())
		return len(leaks) == 0
	})
	w.caught(leaks...)
}

// runAppender is a process that appends and takes down what it is told, until it is killed.
func runAppender(ctx context.Context, _ *pgxpool.Pool, s *pgstore.Store) error {
	r, err := logcheck.Create(historyPath())
	if err != nil {
		return err
	}
	for n := range 1000 {
		a := happened("order-1", n, 1)
		p := begin(r, "killed", a, nil)
		p.Answer(s.Append(ctx, a, eventstore.AppendOptions{}))
	}
	return r.Close()
}
