package delivery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// The events of the tests.
type placed struct {
	Total    int64
	Customer string
}

type cancelled struct{ Reason string }

// orderEvent is what both are.
type orderEvent interface{ isOrder() }

func (placed) isOrder()    {}
func (cancelled) isOrder() {}

func newCodec(t testing.TB) *eventstore.Codec {
	t.Helper()
	codec, err := eventstore.NewCodec(eventstore.TypeOf[placed]("OrderPlaced", 1), eventstore.TypeOf[cancelled]("OrderCancelled", 1))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// patience is how long a test waits for what must come.
const testPatience = 60 * time.Second

// eventually waits until check returns nil.
func (b *bench) eventually(check func() error) {
	b.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(testPatience); ; <-ticker.C {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			b.Fatal(err)
		}
	}
}

type tx = pgx.Tx

// process is a Runner with connections of its own, as another process has them.
type process struct {
	*Runner
	name string
	// dead: its connections are lost, and it gets no others. Frozen: it waits for one.
	dead   atomic.Bool
	frozen atomic.Pointer[chan struct{}]
}

// prepare stands between a process and its database.
func (p *process) prepare(ctx context.Context, _ *pgx.Conn) (bool, error) {
	if thaw := p.frozen.Load(); thaw != nil {
		select {
		case <-*thaw:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	if p.dead.Load() {
		return false, errors.New("the process was killed")
	}
	return true, nil
}

// killProcess is as if the process was: whatever it does, the database does not hear of it.
func (b *bench) killProcess(p *process) {
	b.Helper()
	p.dead.Store(true)
	b.exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1`, p.name)
}

// freeze stops the process from getting at its database, until thaw is called.
func (b *bench) freeze(p *process) (thaw func()) {
	c := make(chan struct{})
	p.frozen.Store(&c)
	return func() { p.frozen.Store(nil); close(c) }
}

// process returns one that runs until the test's end. What change does to its configuration comes last.
func (b *bench) process(name string, change func(*Config)) *process {
	b.Helper()
	p := b.newProcess(name, change)
	b.start(p)
	return p
}

// processWith is process with another pool.
func (b *bench) processWith(name string, pool func(*pgxpool.Config), change func(*Config)) *process {
	b.Helper()
	p := b.newProcessWith(name, pool, change)
	b.start(p)
	return p
}

func (b *bench) newProcess(name string, change func(*Config)) *process {
	b.Helper()
	return b.newProcessWith(name, func(*pgxpool.Config) {}, change)
}

func (b *bench) newProcessWith(name string, configure func(*pgxpool.Config), change func(*Config)) *process {
	b.Helper()
	p := &process{name: name}
	pool := b.db.NewPool(b, func(c *pgxpool.Config) {
		c.MaxConns, c.PrepareConn = 16, p.prepare
		c.ConnConfig.RuntimeParams["application_name"] = name
		configure(c)
	})
	c := Config{Pool: pool, Schema: b.db.Schema, App: "test", Store: b.open(), Codec: newCodec(b), Process: name,
		Logger: zerolog.New(zerolog.NewTestWriter(b)).With().Str("process", name).Logger()}
	if change != nil {
		change(&c)
	}
	var err error
	if p.Runner, err = NewRunner(c); err != nil {
		b.Fatal(err)
	}
	return p
}

func (b *bench) start(p *process) {
	b.Helper()
	if err := p.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = p.Stop(ctx)
	})
}

// events appends events to a stream in one append, and returns the position of the last.
func (b *bench) events(stream string, values ...any) int64 {
	b.Helper()
	a := eventstore.StreamAppend{Stream: stream, Expected: eventstore.Any}
	codec := newCodec(b)
	for _, v := range values {
		e, ok := v.(eventstore.Event)
		if !ok {
			var err error
			if e, err = codec.Encode(v); err != nil {
				b.Fatal(err)
			}
		}
		a.Events = append(a.Events, e)
	}
	done, err := b.store.Append(b.Context(), a, eventstore.AppendOptions{})
	if err != nil {
		b.Fatal(err)
	}
	return done.Position
}

func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

// seen is what a handler was given, in order.
type seen struct {
	mu   sync.Mutex
	list []Event
}

func (s *seen) add(e Event) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, e)
	n := 0
	for _, other := range s.list {
		if other.Position == e.Position {
			n++
		}
	}
	return n
}

func (s *seen) positions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []int64
	for _, e := range s.list {
		all = append(all, e.Position)
	}
	return all
}

// has waits until exactly these positions were seen, in any order.
func (b *bench) has(s *seen, want ...int64) {
	b.Helper()
	slices.Sort(want)
	b.eventually(func() error {
		got := s.positions()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			return fmt.Errorf("positions %v were delivered, want %v", got, want)
		}
		return nil
	})
}

// cursors waits until all cursors of a subscription are at a position at least, with so many rows.
func (b *bench) cursors(name string, position int64, rows map[string]int) {
	b.Helper()
	b.eventually(func() error {
		lowest := read[int64](b, `SELECT min(p.position) FROM {schema}.subscription_partitions p JOIN {schema}.subscriptions s ON s.id = p.subscription WHERE s.name = $1`, name)
		if lowest < position {
			return fmt.Errorf("the lowest cursor is %d, want %d", lowest, position)
		}
		for _, state := range []string{"waiting", "blocked", "dead"} {
			if got := b.rows(name, state); got != rows[state] {
				return fmt.Errorf("there are %d rows %s, want %d", got, state, rows[state])
			}
		}
		return nil
	})
}

func (b *bench) rows(name, state string) int {
	b.Helper()
	return read[int](b, `SELECT count(*) FROM {schema}.subscription_parked r JOIN {schema}.subscriptions s ON s.id = r.subscription WHERE s.name = $1 AND r.state = $2`, name, state)
}

// from returns a subscription of a handler from the beginning.
func from(at string, h *Handler, change func(*Definition)) Subscription {
	s := Subscription{Handler: h, Definition: Definition{Start: Start{At: at}, Retry: Retry{First: Duration(10 * time.Millisecond), Cap: Duration(20 * time.Millisecond)}}}
	if change != nil {
		change(&s.Definition)
	}
	return s
}

func declare(s ...Subscription) func(*Config) { return func(c *Config) { c.Subscriptions = s } }

// TestAnEventIsHandedToItsHandler: those that were there, those that come, those of several types; and none of others.
func TestAnEventIsHandedToItsHandler(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var orders, all, late, raw seen
	first := b.events("order-1", placed{Total: 1}, cancelled{"no"})
	b.events("other-1", eventstore.Event{Type: "Happened", Data: []byte(`{}`)})
	p := b.process("one", declare(
		from(AtBeginning, Handle("orders", func(_ context.Context, e placed, at Event) error { orders.add(at); return nil }), nil),
		from(AtBeginning, Handle("all", func(_ context.Context, e orderEvent, at Event) error { all.add(at); return nil }, Quick()), nil),
		from(AtEnd, Handle("late", func(_ context.Context, e placed, at Event) error { late.add(at); return nil }), nil),
		from(AtBeginning, HandleRaw("raw", func(_ context.Context, d *Delivery) error {
			for _, e := range d.Events {
				raw.add(e)
			}
			return nil
		}), func(d *Definition) { d.Filter = json.RawMessage(`{"data":{"Total":[{"numeric":[">",5]}]}}`) }),
	))
	b.has(&orders, first-1)
	last := b.events("order-2", placed{Total: 7}, placed{Total: 2})
	b.has(&orders, first-1, last-1, last)
	b.has(&all, first-1, first, last-1, last)
	b.has(&late, last-1, last)
	b.has(&raw, last-1)
	if st := p.Stats(); st.Delivered != 3+4+2+1 || len(st.Subscriptions) != 4 {
		t.Errorf("stats = %+v, want 10 delivered", st)
	}
	if err := p.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"orders", "all", "late", "raw"} {
		b.cursors(name, last, nil)
	}
	if n := read[int](b, `SELECT count(*) FROM {schema}.subscription_members`); n != 0 {
		t.Errorf("%d members are left, want none", n)
	}
}

// TestMessageIDsAreThoseOfRFC9562, which other programs can make too.
func TestMessageIDsAreThoseOfRFC9562(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"", "order-1", strings.Repeat("long", 128)} {
		log, e := newID(), &eventstore.RecordedEvent{Event: eventstore.Event{ID: newID()}, Stream: stream}
		if got, want := MessageID(log, e), uuid.NewSHA1(log, []byte(stream+"\x00"+e.ID.String())); got != want {
			t.Errorf("of stream %q it is %s, want %s", stream, got, want)
		}
	}
}

// TestABatchIsDoneButForWhatFails: what the handler names is tried again, with what is behind it of its key; of a batch that fails as a
// whole the event that is the reason is found.
func TestABatchIsDoneButForWhatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var mu sync.Mutex
	most, done := map[string]int{}, map[string][]int64{}
	handler := func(name string, fail func(events []Decoded[placed], bad int) error) *Handler {
		return HandleBatch(name, func(_ context.Context, events []Decoded[placed]) error {
			mu.Lock()
			defer mu.Unlock()
			most[name] = max(most[name], len(events))
			bad := slices.IndexFunc(events, func(e Decoded[placed]) bool { return e.Value.Customer == "bad" })
			for i, e := range events {
				switch {
				case bad >= 0 && fail(nil, bad) == nil: // as a whole
				case bad >= 0 && i >= bad && e.Key == events[bad].Key:
				default:
					done[name] = append(done[name], e.Position)
				}
			}
			if bad < 0 {
				return nil
			}
			return cmp.Or(fail(events, bad), errNot)
		})
	}
	var want []int64
	for i := range 60 {
		e := placed{Customer: "good"}
		if i == 33 {
			e.Customer = "bad"
		}
		if position := b.events(fmt.Sprintf("order-%d", i%10), e); i != 33 {
			want = append(want, position)
		}
	}
	batch := func(d *Definition) {
		d.Partitions, d.Retry.MaxAttempts, d.Batch = 1, 1, Batch{MaxEvents: 20, Wait: Duration(20 * time.Millisecond)}
	}
	b.process("one", declare(
		from(AtBeginning, handler("named", func(events []Decoded[placed], bad int) error {
			return &PartialError{Failed: map[int]error{bad: errNot}}
		}), batch),
		from(AtBeginning, handler("whole", func([]Decoded[placed], int) error { return nil }), batch),
	))
	for _, name := range []string{"named", "whole"} {
		b.cursors(name, 60, map[string]int{"dead": 1})
		mu.Lock()
		got := slices.Sorted(slices.Values(done[name]))
		if !slices.Equal(got, want) || most[name] != 20 {
			t.Errorf("%s: %v were delivered, at most %d at once; want all but the bad one, each once, 20 at most", name, got, most[name])
		}
		mu.Unlock()
	}
}
