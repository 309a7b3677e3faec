package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/operations"
)

// While events come and two processes deliver, partitions become more and less: nothing is lost, and the events of each
// stream are first delivered in order.
func TestPartitionsChangeWhileEventsAreDelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	var got seen
	h := Handle("orders", func(_ context.Context, _ placed, at Event) error { got.add(at); return nil })
	for _, name := range []string{"one", "two"} {
		b.process(name, declare(from(AtBeginning, h, nil)))
	}
	done := make(chan struct{})
	var writer sync.WaitGroup
	var last int64
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
				last = b.events(fmt.Sprint("order-", i%20), placed{Total: int64(i)})
			}
		}
	})
	for _, n := range []int{8, 2} {
		// All are owned, and have come to different places.
		b.eventually(func() error {
			for _, p := range b.status("orders").Partitions {
				if p.Owner == "" || p.Matched == 0 {
					return fmt.Errorf("partition %d has delivered nothing", p.Partition)
				}
			}
			return nil
		})
		d := b.status("orders").Definition
		d.Partitions = n
		if _, err := b.admin().Put(t.Context(), d, PutOptions{Actor: "me"}); err != nil {
			t.Fatal(err)
		}
		b.eventually(func() error {
			if s := b.status("orders"); len(s.Partitions) != n || s.Halving != nil {
				return fmt.Errorf("there are %d partitions, %+v, want %d: %+v", len(s.Partitions), s.Halving, n, s.Partitions)
			}
			return nil
		})
	}
	close(done)
	writer.Wait()
	b.cursors("orders", last, nil)
	delivered := make(map[int64]bool)
	latest := make(map[string]int64)
	for _, e := range got.list {
		if !delivered[e.Position] && e.Position < latest[e.Stream] {
			t.Errorf("position %d of %s was first delivered after %d", e.Position, e.Stream, latest[e.Stream])
		}
		delivered[e.Position] = true
		latest[e.Stream] = max(latest[e.Stream], e.Position)
	}
	for position := int64(1); position <= last; position++ {
		if !delivered[position] {
			t.Errorf("position %d was never delivered", position)
		}
	}
	b.eventually(func() error {
		if s := b.status("orders"); s.State != operations.Running || s.LagEvents == nil || *s.LagEvents != 0 {
			return fmt.Errorf("state %s, lag %v", s.State, s.LagEvents)
		}
		return nil
	})
}

// A route that is added beside others is one of what each process matches events with: each that has some of its partitions delivers what its
// filter wants, and nothing else.
func TestARouteThatIsAddedIsMatchedByAllProcesses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	var others, one, two seen
	for name, got := range map[string]*seen{"one": &one, "two": &two} {
		b.process(name, func(c *Config) {
			c.Handlers = []*Handler{
				Handle("others", func(_ context.Context, _ placed, at Event) error { others.add(at); return nil }),
				Handle("added", func(_ context.Context, _ placed, at Event) error { got.add(at); return nil }),
			}
		})
	}
	var routes []Definition
	for i := range 50 {
		d, err := ParseDefinition(fmt.Appendf(nil, `{"target":{"handler":{"name":"others"}},"partitions":1,"filter":{"data":{"Customer":["c%d"]}}}`, i), fmt.Sprint("route-", i))
		if err != nil {
			t.Fatal(err)
		}
		routes = append(routes, d)
	}
	if _, err := b.admin().Apply(t.Context(), routes, ApplyOptions{Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	other := b.events("order-0", placed{Customer: "c7"})
	b.has(&others, other)
	added := time.Now()
	b.mustPut("added", `{"target":{"handler":{"name":"added"}},"partitions":16,"filter":{"data":{"Customer":["new"],"Total":[{"numeric":[">",1]}]}}}`)
	var want []int64
	var first time.Duration
	b.eventually(func() error {
		stream := fmt.Sprint("order-", len(want))
		b.events(stream, placed{Customer: "new", Total: 1}, placed{Customer: "nobody", Total: 2})
		want = append(want, b.events(stream, placed{Customer: "new", Total: 2}))
		byOne, byTwo := len(one.positions()), len(two.positions())
		if first == 0 && byOne+byTwo > 0 {
			first = time.Since(added)
		}
		if byOne == 0 || byTwo == 0 {
			return fmt.Errorf("one delivered %d events of the new route, two %d", byOne, byTwo)
		}
		return nil
	})
	t.Logf("some process delivered for the new route %s after it was made, all %s after", first, time.Since(added))
	b.eventually(func() error {
		got := append(one.positions(), two.positions()...)
		slices.Sort(got)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			return fmt.Errorf("positions %v were delivered, want %v", got, want)
		}
		return nil
	})
	b.has(&others, other)
}

// What an operator does reaches whoever delivers.
func TestOperatorsSteerWhatIsDelivered(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.app = "test"
	ctx, a := t.Context(), b.admin()
	var got seen
	var mu sync.Mutex
	broken := map[int64]error{1: Permanent(errors.New("broken")), 3: Stop(errors.New("enough"))}
	mend := func(total int64) { mu.Lock(); delete(broken, total); mu.Unlock() }
	h := Handle("orders", func(_ context.Context, e placed, at Event) error {
		mu.Lock()
		defer mu.Unlock()
		if err := broken[e.Total]; err != nil {
			return err
		}
		got.add(at)
		return nil
	})
	b.process("one", declare(from(AtBeginning, h, nil)))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	state := func(want operations.State, dead int64) {
		t.Helper()
		b.eventually(func() error {
			if s := b.status("orders"); s.State != want || s.Dead != dead {
				return fmt.Errorf("it is %s with %d dead letters, want %s with %d", s.State, s.Dead, want, dead)
			}
			return nil
		})
	}
	poison := b.events("order-1", placed{Total: 1})
	second := b.events("order-2", placed{Total: 2})
	b.has(&got, second)
	// More keys that work make the poison count.
	third := b.events("order-3", placed{Total: 4})
	b.has(&got, second, third)
	state(operations.Running, 1)
	if x, err := a.Explain(ctx, "orders", poison); err != nil || x.State != IsDead {
		t.Errorf("explained as %+v, %v", x, err)
	}
	mend(1)
	if _, err := a.Redrive(ctx, "orders", DeadOptions{All: true, Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	b.has(&got, poison, second, third)
	state(operations.Running, 0)
	stop := b.events("order-1", placed{Total: 3})
	state(operations.Failed, 0)
	if p, err := a.Skip(ctx, "orders", stop, "not wanted", "me"); err != nil || p != stop {
		t.Fatalf("skip = %d, %v", p, err)
	}
	after := b.events("order-1", placed{Total: 5})
	b.has(&got, poison, second, third, after)
	if x, err := a.Explain(ctx, "orders", stop); err != nil || x.State != Skipped {
		t.Errorf("explained as %+v, %v", x, err)
	}
	must(a.Pause(ctx, "orders", "me"))
	b.eventually(func() error {
		for _, p := range b.status("orders").Partitions {
			if p.Owner != "" {
				return errors.New("it has an owner")
			}
		}
		return nil
	})
	paused := b.events("order-4", placed{Total: 6})
	if _, err := a.Reset(ctx, "orders", ResetOptions{To: Start{Position: after}, Reason: "again", Actor: "me"}); err != nil {
		t.Fatal(err)
	}
	must(a.Resume(ctx, "orders", "me"))
	b.has(&got, poison, second, third, after, after, paused)
	must(a.Delete(ctx, "orders", 0, false, "me"))
}
