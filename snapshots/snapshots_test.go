package snapshots

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
)

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

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
	db := pgtest.New(t)
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
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := stop(ctx); err != nil {
			b.Error(err)
		}
	})
}

// handler returns a handler that remembers nothing.
func (b *bench) handler() *handler {
	b.Helper()
	h, err := commands.NewHandler[counter, event](b.log, b.codec, commands.Config{
		Category: "counter", CacheSize: -1, Logger: zerolog.New(&b.out),
		Snapshots: commands.SnapshotConfig{Store: b.store, Every: every},
	})
	if err != nil {
		b.Fatal(err)
	}
	return h
}

func (b *bench) run() *projections.Runner {
	b.Helper()
	r, err := projections.NewRunner(projections.Config{
		Pool: b.db.Pool, Store: b.log, Codec: b.codec, Logger: zerolog.New(zerolog.NewTestWriter(b)), BatchSize: 25,
		LeaseTTL: 300 * time.Millisecond, PollInterval: 20 * time.Millisecond,
	}, b.store.Projection(zerolog.New(&b.out), b.handler().SnapshotSource()))
	if err != nil {
		b.Fatal(err)
	}
	if err := r.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.atEnd(r.Stop)
	return r
}

// count appends n events to a stream, in one append.
func (b *bench) count(stream string, n int) eventstore.Token {
	b.Helper()
	a := eventstore.StreamAppend{Stream: stream}
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
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
	defer cancel()
	for {
		at, here := r.WaitFor(ctx, Name, want)
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
	b.log.reset()
	state, at, err := b.handler().Load(b.Context(), id)
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

func TestLongStreamLoadsFromItsTail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var at eventstore.Token
	for range 10 {
		at = b.count("counter-1", 1000)
	}
	b.wantLoaded("1", 10_000, 9_999, 10_000)
	b.log.reset()
	r := b.run()
	b.follows(r, at)
	if reads := b.log.reset(); reads > 11_000 {
		t.Errorf("to make one snapshot %d events were read, want hardly more than there are", reads)
	}
	b.wantList("counter-1@9999")
	b.wantLoaded("1", 10_000, 9_999, 1)
	b.follows(r, b.count("counter-1", every-1))
	b.wantLoaded("1", 10_009, 10_008, every)
	b.follows(r, b.count("counter-1", 1))
	b.wantList("counter-1@10009")
	b.wantLoaded("1", 10_010, 10_009, 1)
}

func TestSnapshotsAreMadeEveryNEvents(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2", "other-1"} {
		b.count(stream, every-1)
	}
	b.follows(r, b.count("counter-3", every))
	b.wantList("counter-3@9")
	b.count("other-1", 1)
	b.count("counter-2", every) // past one, not on it
	b.follows(r, b.count("counter-3", every-1))
	b.wantList("counter-2@18", "counter-3@9")
	if _, err := b.log.DeleteStream(t.Context(), "counter-3", eventstore.Any); err != nil {
		t.Fatal(err)
	}
	b.follows(r, b.count("counter-3", every)) // versions 20 to 29
	b.wantList("counter-2@18", "counter-3@29")
	b.wantLoaded("3", every, 29, 1)
}

func TestDamagedRowIsIgnoredAndReplaced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	b.follows(r, b.count("counter-1", every))
	b.exec(`UPDATE recount.snapshots SET state = '{"N":1000}'`)
	b.wantLoaded("1", every, every-1, every)
	if log := b.out.String(); !strings.Contains(log, "snapshot is ignored") || !strings.Contains(log, "checksum") {
		t.Errorf("log = %q, want a warning", log)
	}
	b.follows(r, b.count("counter-1", every))
	b.wantLoaded("1", 2*every, 2*every-1, 1)
}

func TestTruncatedStreamLivesOnItsSnapshot(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	b.follows(r, b.count("counter-1", every+3))
	if err := b.log.SetStreamMetadata(t.Context(), "counter-1", eventstore.StreamMetadata{TruncateBefore: every}); err != nil {
		t.Fatal(err)
	}
	b.follows(r, b.count("counter-1", every))
	b.wantLoaded("1", 2*every+3, 2*every+2, every)
	if _, err := b.store.Purge(t.Context(), "", ""); err != nil {
		t.Fatal(err)
	}
	_, _, err := b.handler().Load(t.Context(), "1")
	if !errors.Is(err, commands.ErrTruncated) {
		t.Errorf("Load without the snapshot = %v, want ErrTruncated", err)
	}
	// It can have no other, and the projection goes on.
	b.follows(r, b.count("counter-1", every))
	b.follows(r, b.count("counter-2", every))
	b.wantList("counter-2@9")
	if log := b.out.String(); !strings.Contains(log, "goes without") {
		t.Errorf("log = %q, want a warning", log)
	}
}

func TestWithoutTheProjectionThereAreNone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.count("counter-1", every)
	b.wantLoaded("1", every, every-1, every)
	if log := b.out.String(); log != "" {
		t.Errorf("log = %q, want no warning", log)
	}
	_, err := b.store.List(t.Context(), Query{})
	_, err2 := b.store.Purge(t.Context(), "", "")
	_, err3 := b.store.Rebuild(t.Context(), b.log, b.handler().SnapshotSource(), "", zerolog.Nop())
	for _, err := range []error{err, err2, err3} {
		if !errors.Is(err, ErrNoTable) {
			t.Errorf("error = %v, want ErrNoTable", err)
		}
	}
}

func TestRebuildMakesThemAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2", "counter-3", "counter-4"} {
		b.follows(r, b.count(stream, every))
	}
	// One is damaged, one missing, one of a stream that is gone, and one claims to be later than any.
	b.exec(`UPDATE recount.snapshots SET state = '{}' WHERE stream = 'counter-1'`)
	if n, err := b.store.Purge(t.Context(), "counter", "counter-2"); n != 1 || err != nil {
		t.Fatalf("Purge = %d, %v; want 1", n, err)
	}
	if _, err := b.log.DeleteStream(t.Context(), "counter-3", eventstore.Any); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE recount.snapshots SET version = 1000 WHERE stream = 'counter-4'`)

	source := b.handler().SnapshotSource()
	done, err := b.store.Rebuild(t.Context(), b.log, source, "", zerolog.Nop())
	if want := (Rebuilt{Made: 3, Removed: 1}); err != nil || done != want {
		t.Errorf("Rebuild = %+v, %v; want %+v", done, err, want)
	}
	b.wantList("counter-1@9", "counter-2@9", "counter-4@9")
	for _, id := range []string{"1", "2", "4"} {
		b.wantLoaded(id, every, every-1, 1)
	}
	b.exec(`UPDATE recount.snapshots SET state = '{}'`)
	if done, err := b.store.Rebuild(t.Context(), b.log, source, "counter-2", zerolog.Nop()); err != nil || done.Made != 1 {
		t.Errorf("Rebuild of one = %+v, %v; want 1", done, err)
	}
	b.wantLoaded("2", every, every-1, 1)
	b.wantLoaded("1", every, every-1, every)
}

func TestListPicks(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2", "counter-3"} {
		b.follows(r, b.count(stream, every))
	}
	for _, c := range []struct {
		query Query
		want  int
	}{
		{Query{}, 3}, {Query{Limit: 2}, 2}, {Query{Stream: "counter-2"}, 1}, {Query{Decider: "counter"}, 3}, {Query{Decider: "other"}, 0},
	} {
		if got, err := b.store.List(t.Context(), c.query); err != nil || len(got) != c.want {
			t.Errorf("List(%+v) = %d, %v; want %d", c.query, len(got), err, c.want)
		}
	}
	one, err := b.store.List(t.Context(), Query{Stream: "counter-1"})
	if err != nil || len(one) != 1 {
		t.Fatalf("List = %d, %v; want 1", len(one), err)
	}
	if s := one[0]; s.Version != every-1 || s.Position != every || s.SchemaVersion != 1 || s.Bytes != int64(len(`{"N":10,"Last":1}`)) || s.TakenAt.Before(s.RecordedAt) {
		t.Errorf("List = %+v, want the snapshot of counter-1", s)
	}
}

// Nothing is lost when the projection is built anew, not even what could not be made again.
func TestProjectionIsBuiltAnew(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.run()
	for _, stream := range []string{"counter-1", "counter-2"} {
		b.follows(r, b.count(stream, every+3))
	}
	if err := b.log.SetStreamMetadata(t.Context(), "counter-1", eventstore.StreamMetadata{TruncateBefore: every + 3}); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE recount.snapshots SET state = '{}' WHERE stream = 'counter-2'`)
	op, err := r.Run(t.Context(), projections.Request{Kind: projections.Rebuild, Projection: Name}, nil)
	if err != nil || op.State != projections.OperationDone {
		t.Fatalf("rebuild = %+v, %v", op, err)
	}
	b.wantList("counter-1@12", "counter-2@12")
	b.wantLoaded("1", every+3, every+2, 1)
	b.wantLoaded("2", every+3, every+2, 1)
	b.follows(r, b.count("counter-1", every))
	b.wantList("counter-1@22", "counter-2@12")
}
