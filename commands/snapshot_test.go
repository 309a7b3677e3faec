package commands

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// drawer keeps snapshots in memory, one per stream and decider.
type drawer struct {
	kept map[string]Snapshot
	err  error
}

func newDrawer() *drawer { return &drawer{kept: make(map[string]Snapshot)} }

func (d *drawer) Snapshot(_ context.Context, decider string, _ int, stream string) (Snapshot, bool, error) {
	s, found := d.kept[decider+"/"+stream]
	return s, found, d.err
}

// take makes a snapshot of a stream as it is now, and keeps it.
func (d *drawer) take(t testing.TB, h *accounts, stream string) {
	t.Helper()
	s, found, err := h.SnapshotSource().Snapshot(t.Context(), stream)
	if err != nil || !found {
		t.Fatalf("snapshot of %s: found %v, error %v", stream, found, err)
	}
	d.kept[s.Decider+"/"+stream] = s
}

// change does something to the snapshot of a stream.
func (d *drawer) change(stream string, f func(*Snapshot)) {
	s := d.kept["account/"+stream]
	s.State = bytes.Clone(s.State)
	f(&s)
	d.kept["account/"+stream] = s
}

// snapshotTest is a log with snapshots, whose reads are counted.
type snapshotTest struct {
	*testing.T
	store  *counting
	drawer *drawer
	log    bytes.Buffer
}

func newSnapshotTest(t *testing.T) *snapshotTest {
	return &snapshotTest{T: t, store: &counting{faulty: newFaulty()}, drawer: newDrawer()}
}

// handler returns a handler that has not loaded anything yet.
func (s *snapshotTest) handler() *accounts {
	s.Helper()
	s.log.Reset()
	return newAccounts(s, s.store, Config{
		Snapshots: SnapshotConfig{Store: s.drawer}, Logger: zerolog.New(&s.log),
	})
}

// deposits makes n deposits of 1.
func (s *snapshotTest) deposits(n int) {
	s.Helper()
	h := s.handler()
	for range n {
		mustHandle(s, h, "1", deposit{1}, Options{})
	}
}

func (s *snapshotTest) truncate(m eventstore.StreamMetadata) {
	s.Helper()
	if err := s.store.SetStreamMetadata(s.Context(), "account-1", m); err != nil {
		s.Fatal(err)
	}
}

// wantIgnored wants the account to be loaded from its events, with a warning.
func (s *snapshotTest) wantIgnored(balance int, version int64, why string) {
	s.Helper()
	wantBalance(s, s.handler(), "1", balance, version)
	if log := s.log.String(); !strings.Contains(log, "snapshot is ignored") || !strings.Contains(log, why) {
		s.Errorf("log = %q, want a warning that the snapshot is ignored: %s", log, why)
	}
}

// wantUsed wants the account to be loaded from its snapshot.
func (s *snapshotTest) wantUsed(balance int, version, reads int64) {
	s.Helper()
	h := s.handler()
	s.store.events = 0
	wantBalance(s, h, "1", balance, version)
	if s.store.events != reads || s.log.Len() > 0 {
		s.Errorf("%d events were read, log %q; want %d and no warning", s.store.events, s.log.String(), reads)
	}
}

// counting counts the events that ReadStream yields.
type counting struct {
	*faulty
	events int64
}

func (c *counting) ReadStream(ctx context.Context, stream string, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		for e, err := range c.faulty.ReadStream(ctx, stream, o) {
			if err == nil {
				c.events++
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

func TestLoadingReadsTheTailBehindASnapshot(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t)
	batch := eventstore.StreamAppend{Stream: "account-1", Expected: eventstore.Any}
	for range 1000 {
		batch.Events = append(batch.Events, eventstore.Event{Type: "Touched", Data: []byte("{}")})
	}
	for range 10 {
		if _, err := s.store.Append(t.Context(), batch, eventstore.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	s.drawer.take(t, s.handler(), "account-1")
	s.wantUsed(10_000, 9_999, 1)
	s.deposits(5)
	s.wantUsed(10_005, 10_004, 6)
	s.drawer.take(t, s.handler(), "account-1")
	s.wantUsed(10_005, 10_004, 1)
}

func TestSnapshotThatDoesNotFitIsIgnored(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, why string
		change    func(*Snapshot)
	}{
		{"not JSON", "checksum", func(s *Snapshot) { s.State = []byte("{") }},
		{"another state", "checksum", func(s *Snapshot) { s.State = bytes.Replace(s.State, []byte("3"), []byte("4"), 1) }},
		{"no state", "checksum", func(s *Snapshot) { s.State = nil }},
		{"no checksum", "checksum", func(s *Snapshot) { s.Checksum = nil }},
		{"another version", "checksum", func(s *Snapshot) { s.Version++ }},
		{"not JSON, signed", "cannot be read", func(s *Snapshot) { s.State = []byte("{"); s.Checksum = s.checksum() }},
		{"unknown field, signed", "unknown field", func(s *Snapshot) { s.State = []byte(`{"Limit":1}`); s.Checksum = s.checksum() }},
		{"two states, signed", "more than a state", func(s *Snapshot) { s.State = append(s.State, "{}"...); s.Checksum = s.checksum() }},
		{"another schema", "schema version is 2", func(s *Snapshot) { s.SchemaVersion = 2; s.Checksum = s.checksum() }},
		{"another stream", "of stream", func(s *Snapshot) { s.Stream = "account-2"; s.Checksum = s.checksum() }},
		{"another decider", "decider", func(s *Snapshot) { s.Decider = "audit"; s.Checksum = s.checksum() }},
		{"beyond the stream", "another event", func(s *Snapshot) { s.Version = 9; s.Checksum = s.checksum() }},
		{"right behind the stream", "another event", func(s *Snapshot) { s.Version = 5; s.Checksum = s.checksum() }},
		{"another event", "another event", func(s *Snapshot) { s.EventID = uuid.New(); s.Checksum = s.checksum() }},
		{"another position", "another event", func(s *Snapshot) { s.Position++; s.Checksum = s.checksum() }},
		{"another time", "another event", func(s *Snapshot) { s.RecordedAt = s.RecordedAt.Add(time.Second); s.Checksum = s.checksum() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSnapshotTest(t)
			s.deposits(3)
			s.drawer.take(t, s.handler(), "account-1")
			s.deposits(2)
			s.wantUsed(5, 4, 3)
			s.drawer.change("account-1", c.change)
			s.wantIgnored(5, 4, c.why)
		})
	}
}

func TestSnapshotOfAnEarlierLifeIsIgnored(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t)
	s.deposits(3)
	s.drawer.take(t, s.handler(), "account-1")
	mustDelete(t, s.store, "account-1")
	wantBalance(t, s.handler(), "1", 0, -1)
	s.deposits(2)
	s.wantIgnored(2, 5, "another event")
}

func TestTruncatedStreamLoadsFromASnapshot(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		limit eventstore.StreamMetadata
		tail  int
		reads int64 // -1: it cannot be loaded
	}{
		{"at the snapshot", eventstore.StreamMetadata{TruncateBefore: 2}, 3, 4},
		{"right behind it", eventstore.StreamMetadata{TruncateBefore: 3}, 3, 3},
		{"right behind it, with no tail", eventstore.StreamMetadata{TruncateBefore: 3}, 0, 0},
		{"into the tail", eventstore.StreamMetadata{TruncateBefore: 4}, 3, -1},
		{"all of the tail", eventstore.StreamMetadata{TruncateBefore: 9}, 3, -1},
		{"the whole tail shown", eventstore.StreamMetadata{MaxCount: 3}, 3, 3},
		{"less than the tail shown", eventstore.StreamMetadata{MaxCount: 2}, 3, -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newSnapshotTest(t)
			s.deposits(3)
			s.drawer.take(t, s.handler(), "account-1")
			s.deposits(c.tail)
			s.truncate(c.limit)
			if c.reads >= 0 {
				s.wantUsed(3+c.tail, int64(2+c.tail), c.reads)
				mustHandle(t, s.handler(), "1", withdraw{1}, Options{})
			} else {
				_, _, err := s.handler().Load(t.Context(), "1")
				wantError(t, err, ErrTruncated)
			}
			// The snapshot is what makes the difference.
			clear(s.drawer.kept)
			_, _, err := s.handler().Load(t.Context(), "1")
			wantError(t, err, ErrTruncated)
		})
	}
}

// Where only the log can tell, the snapshot must be of its very event.
func TestForeignSnapshotOfATruncatedStreamIsNoState(t *testing.T) {
	t.Parallel()
	for _, tail := range []int{0, 2} {
		s := newSnapshotTest(t)
		s.deposits(3)
		s.drawer.take(t, s.handler(), "account-1")
		s.deposits(tail)
		s.truncate(eventstore.StreamMetadata{TruncateBefore: 3})
		s.drawer.change("account-1", func(s *Snapshot) { s.EventID = uuid.New(); s.Checksum = s.checksum() })
		_, _, err := s.handler().Load(t.Context(), "1")
		wantError(t, err, ErrTruncated)
	}
}

func TestStaleStateOfATruncatedStreamGoesOnFromTheSnapshot(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t)
	stale := s.handler()
	mustHandle(t, stale, "1", deposit{1}, Options{})
	s.deposits(4)
	s.drawer.take(t, s.handler(), "account-1")
	s.truncate(eventstore.StreamMetadata{TruncateBefore: 4})
	wantBalance(t, stale, "1", 5, 4)
}

func TestUnreadableSnapshotsAreNoOutage(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t)
	s.deposits(3)
	s.drawer.take(t, s.handler(), "account-1")
	s.drawer.err = errors.New("no connection")
	s.wantIgnored(3, 2, "no connection")

	s.truncate(eventstore.StreamMetadata{TruncateBefore: 3})
	_, _, err := s.handler().Load(t.Context(), "1")
	wantError(t, err, s.drawer.err)
	if errors.Is(err, ErrTruncated) {
		t.Errorf("error = %v, which says that the state is lost", err)
	}
}

func TestRebuildDoesNotTrustASnapshot(t *testing.T) {
	t.Parallel()
	s := newSnapshotTest(t)
	s.deposits(3)
	s.drawer.take(t, s.handler(), "account-1")
	good := s.drawer.kept["account/account-1"]
	// A fault that nobody can see: Evolve was wrong when it was made.
	s.drawer.change("account-1", func(s *Snapshot) { s.State = []byte(`{"Balance":99}`); s.Checksum = s.checksum() })
	wantBalance(t, s.handler(), "1", 99, 2)
	again, found, err := s.handler().SnapshotSource().Rebuild(t.Context(), "account-1")
	if err != nil || !found || !bytes.Equal(again.Checksum, good.Checksum) {
		t.Errorf("Rebuild = %s, %v, %v; want %s", again.State, found, err, good.State)
	}
	s.truncate(eventstore.StreamMetadata{TruncateBefore: 2})
	if again, _, err = s.handler().SnapshotSource().Rebuild(t.Context(), "account-1"); err != nil || again.Version != 2 {
		t.Errorf("Rebuild of a truncated stream = %+v, %v; want the one that is there", again, err)
	}
}

func TestStateThatDoesNotSurviveJSONIsNoSnapshot(t *testing.T) {
	t.Parallel()
	store := memstore.New(memstore.Config{})
	codec, err := eventstore.NewCodec(eventstore.TypeOf[secret]("Secret", 1))
	if err != nil {
		t.Fatal(err)
	}
	h, err := NewHandler[hidden, Event[hidden]](store, codec, Config{Category: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	appendRaw(t, store, "secret-1", eventstore.Event{Type: "Secret", Data: []byte(`{}`)})
	_, _, err = h.SnapshotSource().Snapshot(t.Context(), "secret-1")
	var state *StateError
	if !errors.As(err, &state) || state.Stream != "secret-1" {
		t.Errorf("error = %v, want a StateError of secret-1", err)
	}
}

// hidden is a state that JSON does not show.
type hidden struct{ n int }

type secret struct{}

func (secret) Evolve(h hidden) hidden { return hidden{h.n + 1} }

func TestSnapshotSourceSaysWhatItIs(t *testing.T) {
	t.Parallel()
	s := newAccounts(t, memstore.New(memstore.Config{}), Config{}).SnapshotSource()
	if got := fmt.Sprintln(s.Category(), s.Decider(), s.SchemaVersion(), s.Every(), s.EventTypes()); got !=
		"account account 1 100 [Brittle Deposited Touched Withdrawn]\n" {
		t.Errorf("the source is %s", got)
	}
	if _, found, err := s.Snapshot(t.Context(), "account-1"); found || err != nil {
		t.Errorf("Snapshot of no stream = %v, %v; want none", found, err)
	}
}

func BenchmarkLoad(b *testing.B) {
	store := memstore.New(memstore.Config{})
	events := make([]eventstore.Event, 10_000)
	for i := range events {
		data, err := json.Marshal(deposited{1})
		if err != nil {
			b.Fatal(err)
		}
		events[i] = eventstore.Event{Type: "Touched", Data: data}
	}
	if _, err := store.Append(b.Context(), eventstore.StreamAppend{Stream: "account-1", Expected: eventstore.Any, Events: events}, eventstore.AppendOptions{}); err != nil {
		b.Fatal(err)
	}
	d := newDrawer()
	h := newAccounts(b, store, Config{})
	d.take(b, h, "account-1")
	for name, c := range map[string]SnapshotConfig{"10000 events": {}, "snapshot": {Store: d}} {
		b.Run(name, func(b *testing.B) {
			h := newAccounts(b, store, Config{CacheSize: -1, Snapshots: c})
			for b.Loop() {
				if _, _, err := h.Load(b.Context(), "1"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
