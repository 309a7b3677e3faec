package snapshots

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// The aggregate of the tests counts.
type (
	counter struct{ N, Last int }
	counted struct{ By int }
	event   = commands.Event[counter]
)

func (e counted) Evolve(c counter) counter { return counter{c.N + e.By, e.By} }

type handler = commands.Handler[counter, event]

// every is how many events there are between two snapshots.
const every = 10

// bench is a log with snapshots on a database of its own.
type bench struct {
	*testing.T
	db    *pgtest.DB
	log   *countingLog
	codec *eventstore.Codec
	store *Store
	out   lockedBuffer
}

func newBench(t *testing.T) *bench {
	t.Helper()
	db := logtest.New(t)
	log, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, db: db, log: &countingLog{Store: log}, store: NewStore(db.Pool, db.Schema)}
	b.atEnd(log.Close)
	if b.codec, err = eventstore.NewCodec(eventstore.TypeOf[counted]("Counted", 1)); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *bench) atEnd(stop func(context.Context) error) {
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := stop(ctx); err != nil {
			b.Error(err)
		}
	})
}

// handler returns a handler that remembers nothing.
func (b *bench) handler() *handler { return b.handlerOf("counter", 1) }

func (b *bench) handlerOf(category string, schema int) *handler {
	b.Helper()
	return b.handlerOn(b.store, category, commands.SnapshotConfig{SchemaVersion: schema})
}

func (b *bench) handlerOn(store *Store, category string, c commands.SnapshotConfig) *handler {
	b.Helper()
	c.Store, c.Every = store, every
	h, err := commands.NewHandler[counter, event](b.log, b.codec, commands.Config{
		Category: category, CacheSize: -1, Logger: zerolog.New(&b.out), Snapshots: c,
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func (b *bench) run() *projections.Runner {
	b.Helper()
	return b.runAll(b.store.Projections(zerolog.New(&b.out), b.handler().SnapshotSource())...)
}

// runAll runs projections as a program does that has just these.
func (b *bench) runAll(all ...projections.Projection) *projections.Runner {
	b.Helper()
	r := b.of("", all...)
	if err := r.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.atEnd(r.Stop)
	return r
}

// of returns a runner of an App that has not been started.
func (b *bench) of(app string, all ...projections.Projection) *projections.Runner {
	b.Helper()
	r, err := projections.NewRunner(projections.Config{
		App:  app,
		Pool: b.db.Pool, Store: b.log, Codec: b.codec, Logger: zerolog.New(zerolog.NewTestWriter(b)), BatchSize: 25,
		LeaseTTL: 300 * time.Millisecond, PollInterval: 20 * time.Millisecond,
	}, all...)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// count appends n events to a stream, in one append.
func (b *bench) count(stream string, n int) eventstore.Token {
	b.Helper()
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any}
	for range n {
		a.Events = append(a.Events, eventstore.Event{Type: "Counted", Data: []byte(`{"By":1}`)})
	}
	done, err := b.log.Append(b.Context(), a, eventstore.AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return done.Token
}

// follows waits until the projection has come to a place in the log.
func (b *bench) follows(r *projections.Runner, want eventstore.Token) {
	b.Helper()
	b.followsAs(r, NameOf("counter"), want)
}

func (b *bench) followsAs(r *projections.Runner, name string, want eventstore.Token) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	for {
		at, here := r.WaitFor(ctx, name, want)
		if here && at.Position >= want.Position {
			return
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			b.Fatalf("the projection is at %d (here: %v), want %d", at.Position, here, want.Position)
		}
	}
}

// wantLoaded loads a counter, and wants it to cost no more than so many events.
func (b *bench) wantLoaded(id string, n int, version, reads int64) {
	b.Helper()
	b.wantLoadedBy(b.handler(), id, n, version, reads)
}

func (b *bench) wantLoadedBy(h *handler, id string, n int, version, reads int64) {
	b.Helper()
	b.log.reset()
	state, at, err := h.Load(b.Context(), id)
	if err != nil || state.N != n || at != version {
		b.Errorf("Load(%q) = %+v at %d, %v; want %d at %d", id, state, at, err, n, version)
	}
	if got := b.log.reset(); got > reads {
		b.Errorf("Load(%q) reads %d events, want at most %d", id, got, reads)
	}
}

// wantList wants the snapshots, each as stream@version.
func (b *bench) wantList(want ...string) {
	b.Helper()
	all, err := b.store.List(b.Context(), Query{})
	if err != nil {
		b.Fatal(err)
	}
	var got []string
	for _, s := range all {
		got = append(got, fmt.Sprintf("%s@%d", s.Stream, s.Version))
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("snapshots are %v, want %v", got, want)
	}
}

func (b *bench) exec(sql string) {
	b.Helper()
	if _, err := b.db.Pool.Exec(b.Context(), sql); err != nil {
		b.Fatal(err)
	}
}

// countingLog counts the events that ReadStream yields.
type countingLog struct {
	*pgstore.Store
	mu     sync.Mutex
	events int64
}

func (l *countingLog) ReadStream(ctx context.Context, stream string, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range l.Store.ReadStream(ctx, stream, o) {
			l.mu.Lock()
			l.events++
			l.mu.Unlock()
			if !yield(e, err) {
				return
			}
		}
	}
}

func (l *countingLog) reset() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.events
	l.events = 0
	return n
}

// lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
