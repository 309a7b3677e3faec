package delivery

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
)

// owners returns how many partitions of a subscription each process has.
func (b *bench) owners(name string) map[string]int {
	b.Helper()
	rows, err := b.db.Pool.Query(b.Context(), b.sql(`SELECT m.process, count(*) FROM {schema}.subscription_partitions p
		JOIN {schema}.subscriptions s ON s.id = p.subscription JOIN {schema}.subscription_members m ON m.id = p.member WHERE s.name = $1 GROUP BY 1`), name)
	if err != nil {
		b.Fatal(err)
	}
	defer rows.Close()
	all := make(map[string]int)
	for rows.Next() {
		var process string
		var n int
		if err := rows.Scan(&process, &n); err != nil {
			b.Fatal(err)
		}
		all[process] = n
	}
	return all
}

// owned waits until processes have partitions as wanted: -1 is some.
func (b *bench) owned(name string, want map[string]int) {
	b.Helper()
	b.eventually(func() error {
		got := b.owners(name)
		for process, n := range want {
			if n >= 0 && got[process] != n || n < 0 && got[process] == 0 {
				return fmt.Errorf("partitions of %s are with %v, want %v", name, got, want)
			}
		}
		return nil
	})
}

// TestProcessesShare: who joins gets only what is its own from then on, who stops gives back, who is killed is taken for
// dead. Nothing is lost, and each key stays in order.
func TestProcessesShare(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	h := newOrdered(b)
	subscription := func() func(*Config) {
		return declare(from(AtBeginning, HandleRaw("h", h.handle), func(d *Definition) { d.Partitions = 32 }))
	}
	one := b.process("one", subscription())
	b.owned("h", map[string]int{"one": 32})
	stop := b.keepAppending(40)
	two := b.process("two", subscription())
	b.owned("h", map[string]int{"one": -1, "two": -1})
	three := b.process("three", subscription())
	b.owned("h", map[string]int{"one": -1, "two": -1, "three": -1})
	before := b.owners("h")
	if err := one.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.eventually(func() error {
		if got := b.owners("h"); got["two"]+got["three"] != 32 || got["two"] < before["two"] || got["three"] < before["three"] {
			return fmt.Errorf("partitions are with %v, before %v", got, before)
		}
		return nil
	})
	if err := two.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.owned("h", map[string]int{"three": 32})
	h.exactly(stop())

	// Gracefully nothing is delivered twice. A process that is killed repeats what it had not moved past.
	four := b.process("four", subscription())
	b.owned("h", map[string]int{"three": -1, "four": -1})
	stop = b.keepAppending(40)
	h.waitFor(func(n int) bool { return n > 200 })
	b.killProcess(three)
	killed := time.Now()
	b.owned("h", map[string]int{"four": 32})
	t.Logf("all partitions were elsewhere after %s", time.Since(killed))
	h.atLeast(stop())
	_ = four
}

// ordered is a handler that checks the order of each key, and notes what it was given.
type ordered struct {
	*bench
	mu       sync.Mutex
	last     map[string]int64 // delivered, by stream
	count    map[int64]int    // by position
	inFlight map[string]bool
	fails    float64
}

func newOrdered(b *bench) *ordered {
	return &ordered{bench: b, last: make(map[string]int64), count: make(map[int64]int), inFlight: make(map[string]bool)}
}

func (h *ordered) handle(_ context.Context, d *Delivery) error {
	e := d.Events[0]
	h.mu.Lock()
	defer h.mu.Unlock()
	if rand.Float64() < h.fails {
		return errNot
	}
	if e.Position < h.last[e.Stream] && h.count[e.Position] == 0 {
		h.Errorf("%s: the event at %d came after that at %d", e.Stream, e.Position, h.last[e.Stream])
	}
	h.last[e.Stream] = max(e.Position, h.last[e.Stream])
	h.count[e.Position]++
	return nil
}

func (h *ordered) waitFor(enough func(n int) bool) {
	h.Helper()
	h.eventually(func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !enough(len(h.count)) {
			return fmt.Errorf("%d events were delivered", len(h.count))
		}
		return nil
	})
}

// atLeast waits until all events up to a position were delivered, but for alerts.
func (h *ordered) atLeast(upto int64) {
	h.Helper()
	h.waitFor(func(n int) bool { return n == int(upto-h.alertsUpTo(upto)) })
}

// exactly is atLeast, and none was delivered twice.
func (h *ordered) exactly(upto int64) {
	h.Helper()
	h.atLeast(upto)
	h.mu.Lock()
	defer h.mu.Unlock()
	for position, n := range h.count {
		if n != 1 {
			h.Errorf("the event at %d was delivered %d times", position, n)
		}
	}
}

// keepAppending appends to so many streams until stop is called, which returns the last position.
func (b *bench) keepAppending(streams int) (stop func() int64) {
	ctx, cancel := context.WithCancel(b.Context())
	var last atomic.Int64
	var running sync.WaitGroup
	running.Go(func() {
		pace := time.NewTicker(2 * time.Millisecond)
		defer pace.Stop()
		for ; ctx.Err() == nil; <-pace.C {
			done, err := b.store.Append(context.WithoutCancel(ctx), eventstore.StreamAppend{Stream: fmt.Sprintf("order-%d", rand.IntN(streams)), Expected: eventstore.Any,
				Events: []eventstore.Event{{Type: "OrderPlaced", Data: []byte(`{}`)}}}, eventstore.AppendOptions{})
			if err != nil {
				b.Error(err)
				return
			}
			last.Store(done.Position)
		}
	})
	return func() int64 { cancel(); running.Wait(); return last.Load() }
}

// TestOrderIsKeptWhileEventsFail: a third of all attempts fails, in two processes.
func TestOrderIsKeptWhileEventsFail(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	h := newOrdered(b)
	h.fails = 0.3
	subscription := func() func(*Config) {
		return declare(from(AtBeginning, HandleRaw("h", h.handle), func(d *Definition) { d.Retry.MaxAttempts, d.Breaker.Keys = 1000, 10_000 }))
	}
	b.process("one", subscription())
	stop := b.keepAppending(20)
	h.waitFor(func(n int) bool { return n > 100 })
	b.process("two", subscription())
	h.waitFor(func(n int) bool { return n > 300 })
	h.exactly(stop())
	b.cursors("h", 0, nil)
}

// TestAFrozenProcessCannotWrite: it was taken for dead while it delivered. What it does when it wakes up has no effect
// on the cursor, and it comes back as another member.
func TestAFrozenProcessCannotWrite(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.exec(`CREATE TABLE effects (position bigint, process text)`)
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	subscription := func(process string) func(*Config) {
		return declare(from(AtBeginning, HandleTx("h", func(ctx context.Context, tx Tx, _ placed, at Event) error {
			if process == "one" {
				once.Do(func() { close(held); <-release })
			}
			_, err := tx.Exec(ctx, `INSERT INTO effects VALUES ($1, $2)`, at.Position, process)
			return err
		}), func(d *Definition) { d.Partitions = 1 }))
	}
	one := b.process("one", subscription("one"))
	b.owned("h", map[string]int{"one": 1})
	first := b.events("order-1", placed{})
	<-held
	thaw := b.freeze(one)
	before := one.currentMember()
	two := b.process("two", subscription("two"))
	b.owned("h", map[string]int{"two": 1})
	second := b.events("order-1", placed{})
	b.cursors("h", second, nil)
	close(release)
	thaw()
	b.eventually(func() error {
		if now := one.currentMember(); now == before || now == 0 {
			return fmt.Errorf("it is member %d still, want another", now)
		}
		return nil
	})
	if err := two.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := b.events("order-1", placed{})
	b.cursors("h", third, nil)
	for position, process := range map[int64]string{first: "two", second: "two", third: "one"} {
		if got := read[string](b, `SELECT string_agg(process, ' ') FROM effects WHERE position = $1`, position); got != process {
			t.Errorf("the effects of the event at %d are of %q, want %q", position, got, process)
		}
	}
}

func (p *process) currentMember() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.member.ID
}

// TestOldAndNewProgramsSideBySide: one without a handler takes nothing of it; one that cannot read an event leaves it to one that
// can; if none can it is a dead letter.
func TestOldAndNewProgramsSideBySide(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type placedV2 struct{ Cents int64 }
	codec, err := eventstore.NewCodec(eventstore.TypeOf[placedV2]("OrderPlaced", 2, eventstore.Upcast(1, func(p placed) (placedV2, error) {
		return placedV2{p.Total * 100}, nil
	})))
	if err != nil {
		t.Fatal(err)
	}
	var old, renewed, added seen
	oldProgram := declare(from(AtBeginning, Handle("h", func(_ context.Context, _ placed, at Event) error { old.add(at); return nil }), nil))
	newProgram := func(c *Config) {
		c.Codec = codec
		c.Subscriptions = []Subscription{
			from(AtBeginning, Handle("h", func(_ context.Context, _ placedV2, at Event) error { renewed.add(at); return nil }), nil),
			from(AtBeginning, Handle("added", func(_ context.Context, _ placedV2, at Event) error { added.add(at); return nil }), nil),
		}
	}
	one := b.process("old", oldProgram)
	first := b.events("order-1", placed{})
	b.has(&old, first)
	two := b.process("new", newProgram)
	b.owned("added", map[string]int{"new": 4, "old": 0})
	v2 := eventstore.Event{Type: "OrderPlaced", SchemaVersion: 2, Data: []byte(`{"Cents":7}`)}
	var want []int64
	for i := range 16 {
		want = append(want, b.events(fmt.Sprintf("order-%d", i), v2))
	}
	b.has(&renewed, want...)
	b.has(&added, append(want, first)...)
	if got := old.positions(); !slices.Equal(got, []int64{first}) {
		t.Errorf("the old program was given %v, want only the first", got)
	}
	if err := two.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Alone, it takes it again: nobody else can read what comes.
	last := b.events("order-1", v2)
	b.cursors("h", 0, map[string]int{"dead": 1})
	if got := read[int64](b, `SELECT position FROM {schema}.subscription_parked`); got != last {
		t.Errorf("the dead letter is at %d, want %d", got, last)
	}
	_ = one
}

// TestAHandlerThatDoesNotReturnHoldsItsKey, and the process says so.
func TestAHandlerThatDoesNotReturnHoldsItsKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	release := make(chan struct{})
	s := &script{fails: func(e Event, n int) error {
		if e.Stream == "order-1" {
			<-release
		}
		return nil
	}}
	p := b.process("one", func(c *Config) {
		c.Subscriptions = []Subscription{from(AtBeginning, HandleRaw("h", s.handle, Timeout(time.Millisecond)), nil)}
	})
	first := b.events("order-1", placed{})
	second := b.events("order-1", placed{})
	other := b.events("order-2", placed{})
	b.delivers(s, "order-2", other)
	b.eventually(func() error {
		if st := p.Stats().Subscriptions[0]; st.Stuck != 1 {
			return fmt.Errorf("stats = %+v, want one stuck", st)
		}
		return nil
	})
	b.eventually(func() error {
		if read[int](b, `SELECT count(*) FROM {schema}.subscription_partitions WHERE trouble LIKE 'stuck%'`) != 1 {
			return errors.New("no partition says that it is stuck")
		}
		return nil
	})
	if s.tries(second) > 0 {
		t.Error("the next of the key was tried")
	}
	close(release)
	b.delivers(s, "order-1", first, second)
	b.eventually(func() error {
		if read[int](b, `SELECT count(*) FROM {schema}.subscription_partitions WHERE trouble IS NOT NULL`) != 0 {
			return errors.New("a partition says that it is stuck still")
		}
		return nil
	})
}

// TestOthersGoOnWhereAnAttemptDoesNotReturn: this process cannot, neither when it has no slot left nor when the partition was
// given back meanwhile.
func TestOthersGoOnWhereAnAttemptDoesNotReturn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		slots int
		while func(b *bench)
	}{
		"without a slot": {1, func(*bench) {}},
		"given back": {2, func(b *bench) {
			if err := b.admin().Pause(b.Context(), "h", "test"); err != nil {
				b.Fatal(err)
			}
			b.owned("h", map[string]int{"one": 0, "two": 0})
			if err := b.admin().Resume(b.Context(), "h", "test"); err != nil {
				b.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			release := make(chan struct{})
			defer close(release)
			var s seen
			var hung atomic.Bool
			hangs := make(chan struct{})
			for _, process := range []string{"one", "two"} {
				b.process(process, declare(from(AtBeginning, HandleRaw("h", func(_ context.Context, d *Delivery) error {
					if hung.CompareAndSwap(false, true) {
						close(hangs)
						<-release
						return nil
					}
					s.add(d.Events[0])
					return nil
				}, Timeout(time.Millisecond)), func(d *Definition) { d.Partitions, d.MaxInFlight = 1, c.slots })))
			}
			// It is with the one who is to have it, and would get it again.
			b.eventually(func() error {
				var members []core.Member
				for id := range int64(3) {
					if read[int](b, `SELECT count(*) FROM {schema}.subscription_members WHERE id = $1`, id) == 1 {
						members = append(members, core.Member{ID: id, CanRun: []string{"handler:h"}})
					}
				}
				want, _ := core.Assign(members, "handler:h", 1, 0)
				got := read[int64](b, `SELECT coalesce(min(member), 0) FROM {schema}.subscription_partitions`)
				if len(members) != 2 || got != want {
					return fmt.Errorf("of the members %v %d has the partition, want %d", members, got, want)
				}
				return nil
			})
			first := b.events("order-1", placed{})
			<-hangs
			other := b.events("order-2", placed{})
			c.while(b)
			b.eventually(func() error {
				got := s.positions()
				if !slices.Contains(got, first) || !slices.Contains(got, other) {
					return fmt.Errorf("positions %v were delivered, want %d and %d", got, first, other)
				}
				return nil
			})
		})
	}
}

// TestASubscriptionStops when its target wants no more, in all processes, and says why.
func TestASubscriptionStops(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	s := &script{fails: func(e Event, n int) error {
		if e.Stream == "order-1" {
			return Gone(errNot)
		}
		return nil
	}}
	b.process("one", declare(from(AtBeginning, HandleRaw("h", s.handle), nil)))
	last := b.events("order-1", placed{})
	b.eventually(func() error {
		if read[int](b, `SELECT count(*) FROM {schema}.subscriptions WHERE stopped_position = $1 AND failure = 'not now' AND failure_reason = 'target-gone'`, last) != 1 {
			return errors.New("it has not stopped")
		}
		return nil
	})
	b.owned("h", map[string]int{"one": 0})
	if position := read[int64](b, `SELECT min(position) FROM {schema}.subscription_partitions`); position >= last {
		t.Errorf("the lowest cursor is at %d, want it before %d", position, last)
	}
}
