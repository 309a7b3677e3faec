package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/targettest"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a bucket for tests.
type memory struct {
	mu      sync.Mutex
	files   map[string][]byte
	putting func(ctx context.Context, name string, content []byte) error
}

func (m *memory) get(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	content, ok := m.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return content, nil
}

func (m *memory) create(ctx context.Context, content []byte) error {
	if _, err := m.get(ctx, manifestName); err == nil {
		return fs.ErrExist
	}
	return m.put(ctx, manifestName, content)
}

func (m *memory) put(ctx context.Context, name string, content []byte) error {
	if m.putting != nil {
		if err := m.putting(ctx, name, content); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.files == nil {
		m.files = make(map[string][]byte)
	}
	m.files[name] = content
	return nil
}

func (m *memory) remove(_ context.Context, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, name)
	return nil
}

func (m *memory) list(_ context.Context, dir string) iter.Seq2[object, error] {
	m.mu.Lock()
	names := slices.Collect(maps.Keys(m.files))
	m.mu.Unlock()
	return func(yield func(object, error) bool) {
		for _, name := range names {
			if strings.HasPrefix(name, dir) && !yield(object{name: name}, nil) {
				return
			}
		}
	}
}

func (m *memory) close() error { return nil }

// log is one whose second incarnation went on behind position 600.
type log struct{ eventstore.Reader }

func (log) ReadAll(_ context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		yield(eventstore.RecordedEvent{}, &eventstore.LogChangedError{Token: o.After, LastCommon: 600})
	}
}

var (
	at    = eventstore.Token{Log: uuid.MustParse("6f1e6a7e-3c0b-4b55-9a0b-5a8f1d6f2a11"), Incarnation: 1}
	after = eventstore.Token{Log: at.Log, Incarnation: 2}
	began = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
)

func definition(address string) delivery.Definition {
	return delivery.Definition{Name: "orders", Filter: []byte(`{"type":["OrderPlaced"]}`),
		Target: delivery.TargetConfig{Archive: &delivery.ArchiveTarget{URL: address, Retention: delivery.Duration(24 * time.Hour)}}}
}

// open returns a target on a bucket, with a clock at which nothing is too old.
func openOn(t interface{ Cleanup(func()) }, b bucket) *Target {
	target := newTarget(definition(""), Config{Log: log{}, Now: func() time.Time { return began }}, &Archive{b})
	t.Cleanup(target.Close)
	return target
}

// event is the event of a log at a position, recorded so many seconds after it began.
func event(of eventstore.Token, position int64, data string) delivery.Event {
	e := &eventstore.RecordedEvent{Position: position, Stream: fmt.Sprintf("order-%d", position%7), Version: position / 7,
		RecordedAt: began.Add(time.Duration(position) * time.Second), Event: eventstore.Event{
			ID: uuid.NewSHA1(of.Log, fmt.Append(nil, of.Incarnation, position)), Type: "OrderPlaced", SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON,
			Data: []byte(data), Metadata: []byte(`{"n":1}`)}}
	return delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(of.Log, e), Key: e.Stream, Attempt: 1}
}

func events(of eventstore.Token, from, to int64) (all []delivery.Event) {
	for p := from; p <= to; p++ {
		all = append(all, event(of, p, fmt.Sprintf(`{"n":%d}`, p)))
	}
	return all
}

func deliver(t interface {
	Helper()
	Fatalf(string, ...any)
}, target *Target, of eventstore.Token, partition int, list []delivery.Event) {
	t.Helper()
	if err := target.Deliver(context.Background(), &delivery.Delivery{Subscription: "orders", Events: list, Partition: partition, Epoch: 7, Log: of}); err != nil {
		t.Fatalf("deliver: %v", err)
	}
}

// readAll returns the events of a range, by position.
func readAll(t interface {
	Helper()
	Fatalf(string, ...any)
}, a *Archive, r Range) (all []delivery.Event) {
	t.Helper()
	for e, err := range a.Read(context.Background(), r) {
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		all = append(all, e)
	}
	return all
}

func positions(all []delivery.Event) (list []int64) {
	for _, e := range all {
		list = append(list, e.Position)
	}
	return list
}

func TestTarget(t *testing.T) {
	targettest.Run(t, func(t *testing.T) *targettest.Fixture {
		f := &targettest.Fixture{Says: []delivery.Outcome{delivery.ThrottledOutcome}}
		f.Target = openOn(t, &memory{putting: func(ctx context.Context, name string, content []byte) error {
			s, ok := parseKey(name)
			if !ok {
				return nil
			}
			_, lines, err := s.decode(content)
			var came []targettest.Arrival
			for _, line := range lines {
				var e delivery.Event
				if e, err = delivery.ParseEvent(line); err == nil {
					came = append(came, targettest.Arrival{MessageID: e.MessageID, Type: e.Type, Data: e.Data})
				}
			}
			if err != nil {
				t.Error(err)
			}
			if a := f.Receive(ctx, came); a.Outcome != delivery.Done {
				return errors.New("no space left on device")
			}
			return nil
		}})
		return f
	})
}

// TestWhatWentInComesOut: to the byte, in order and once, however it is cut into attempts, which may come again, or together with others, and
// whoever makes them.
func TestWhatWentInComesOut(t *testing.T) {
	t.Parallel()
	caught := sync.OnceFunc(func() {
		fmt.Printf("caught\t%s\t0\tan archive gives back what was delivered to it, once and in order\n", t.Name())
	})
	texts := []string{"", "{}", "{\n}", " {}", "{}\r", "\t1 ", `{"a":1,"a":2}`, `"\ud800"`, "\xff\x00", `"` + "\u2028" + `"`, "not JSON", `{"a":1.50}`, "null"}
	rapid.Check(t, func(t *rapid.T) {
		b := &memory{}
		var closed closer
		defer closed.close()
		target := openOn(&closed, b)
		partitions := rapid.IntRange(1, 3).Draw(t, "partitions")
		var all []delivery.Event
		position := int64(0)
		for range rapid.IntRange(0, 30).Draw(t, "events") {
			position += rapid.Int64Range(1, 3).Draw(t, "gap")
			e := event(at, position, rapid.SampledFrom(texts).Draw(t, "data"))
			e.Metadata = []byte(rapid.SampledFrom(texts).Draw(t, "metadata"))
			all = append(all, e)
		}
		for partition := range partitions {
			var own []delivery.Event
			for i, e := range all {
				if i%partitions == partition {
					own = append(own, e)
				}
			}
			for len(own) > 0 {
				n := rapid.IntRange(1, len(own)).Draw(t, "attempt")
				if rapid.Bool().Draw(t, "again") { // it was not known to have succeeded
					deliver(t, target, at, partition, own[:rapid.IntRange(1, n).Draw(t, "before")])
				}
				if rapid.Bool().Draw(t, "another process") {
					target = openOn(&closed, b)
				}
				batch := slices.Clone(own[:n])
				slices.Reverse(batch)
				deliver(t, target, at, partition, batch)
				own = own[n:]
			}
		}
		a := target.archive
		got := readAll(t, a, Range{})
		if !slices.Equal(positions(got), positions(all)) {
			caught()
			t.Fatalf("positions %d, want %d", positions(got), positions(all))
		}
		for i, e := range got {
			want := all[i]
			if !bytes.Equal(e.Data, want.Data) || !bytes.Equal(e.Metadata, want.Metadata) || e.MessageID != want.MessageID || e.Stream != want.Stream ||
				e.Version != want.Version || !e.RecordedAt.Equal(want.RecordedAt) || e.ID != want.ID {
				t.Fatalf("event %+v %q, want %+v %q", *e.RecordedEvent, e.Data, *want.RecordedEvent, want.Data)
			}
		}
		from, to := rapid.Int64Range(0, position+1).Draw(t, "from"), rapid.Int64Range(0, position+1).Draw(t, "to")
		want := slices.DeleteFunc(positions(all), func(p int64) bool { return p < from || p >= to })
		r := Range{From: began.Add(time.Duration(from) * time.Second), To: began.Add(time.Duration(to) * time.Second)}
		if got := positions(readAll(t, a, r)); !slices.Equal(got, want) {
			t.Fatalf("from %d to %d: positions %d, want %d", from, to, got, want)
		}
		if r, err := a.Verify(context.Background(), nil); err != nil || len(r.Damages) > 0 {
			t.Fatalf("verify: %+v, %v", r, err)
		}
	})
}

// closer calls functions when a case of a property has ended.
type closer []func()

func (c *closer) Cleanup(f func()) { *c = append(*c, f) }
func (c *closer) close() {
	for _, f := range *c {
		f()
	}
}

// TestAProcessDies when it has written a segment and nobody knows: what comes again is there once, and nothing is missing.
func TestAProcessDies(t *testing.T) {
	t.Parallel()
	for name, again := range map[string]int64{"alike": 10, "with what came since": 15, "in pieces": 8} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &memory{}
			dying := openOn(t, b)
			deliver(t, dying, at, 0, events(at, 1, 5))
			ctx := failpoint.On(t, failpoint.Calls{failpoint.ArchiveWritten: func() { panic("dead") }})
			func() {
				defer func() { _ = recover() }()
				_ = dying.Deliver(ctx, &delivery.Delivery{Subscription: "orders", Events: events(at, 6, 10), Log: at, Epoch: 7})
			}()
			next := openOn(t, b)
			deliver(t, next, at, 0, events(at, 6, again))
			deliver(t, next, at, 0, events(at, again+1, 20))
			if got := positions(readAll(t, next.archive, Range{})); !slices.Equal(got, positions(events(at, 1, 20))) {
				t.Errorf("positions %d", got)
			}
			if r, err := next.archive.Verify(t.Context(), nil); err != nil || len(r.Damages) > 0 {
				t.Errorf("verify: %+v, %v", r, err)
			}
			want := 4
			if again == 10 {
				want = 3
			}
			if all, _ := next.archive.Segments(t.Context()); len(all) != want {
				t.Errorf("%d segments, want %d", len(all), want)
			}
		})
	}
}

// TestARestoredLog: what was lost when the log was restored does not come back, and what took its place does.
func TestARestoredLog(t *testing.T) {
	t.Parallel()
	target := openOn(t, &memory{})
	deliver(t, target, at, 0, events(at, 590, 595))
	deliver(t, target, at, 0, events(at, 596, 605))
	deliver(t, target, after, 0, events(after, 603, 604))
	deliver(t, target, after, 1, events(after, 610, 610))
	got := readAll(t, target.archive, Range{})
	want := slices.Concat(events(at, 590, 600), events(after, 603, 604), events(after, 610, 610))
	for i, e := range got {
		if i >= len(want) || e.ID != want[i].ID {
			t.Errorf("positions %d, want %d", positions(got), positions(want))
			break
		}
	}
	if len(got) != len(want) {
		t.Errorf("positions %d, want %d", positions(got), positions(want))
	}
}
