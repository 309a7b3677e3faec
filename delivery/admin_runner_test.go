package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

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
