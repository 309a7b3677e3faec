package delivery

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/57528e99/recount/internal/failpoint"
)

// TestAProcessDies at each place at which what the database knows and what the process knows differ: another goes on, nothing is
// lost, and nothing is delivered again that the database knew of.
func TestAProcessDies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		at failpoint.Point
		// again says whether what was delivered may be delivered again.
		again bool
	}{
		{failpoint.DeliverTaken, false},
		{failpoint.DeliverMoved, true}, // what was delivered since the move
		{failpoint.DeliverLeaving, false},
	} {
		t.Run(string(c.at), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.app = "test"
			s := &script{fails: func(e Event, _ int) error {
				if e.Stream == "order-0" {
					return Permanent(errNot)
				}
				return nil
			}}
			subscription := declare(from(AtBeginning, HandleRaw("h", s.handle), func(d *Definition) { d.Partitions = 2 }))
			one := b.newProcess("one", subscription)
			died, over := make(chan struct{}), make(chan struct{})
			var known []int64 // by the database
			die := sync.OnceFunc(func() {
				b.killProcess(one)
				for _, p := range s.delivered("") {
					if p <= read[int64](b, `SELECT min(position) FROM {schema}.subscription_partitions`) {
						known = append(known, p)
					}
				}
				close(died)
				<-over
			})
			if err := one.Start(failpoint.On(t, failpoint.Calls{c.at: die})); err != nil {
				t.Fatal(err)
			}
			var stopping sync.WaitGroup
			t.Cleanup(func() {
				close(over)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				_ = one.Stop(ctx)
				stopping.Wait()
			})
			defer b.alive()() // or no attempt would count
			var want []int64
			add := func() {
				for i := range 10 {
					if p := b.events(fmt.Sprintf("order-%d", i), placed{}); i > 0 {
						want = append(want, p)
					}
				}
			}
			add()
			if c.at == failpoint.DeliverLeaving {
				b.cursors("h", want[len(want)-1], map[string]int{"dead": 1})
				stopping.Go(func() { _ = one.Stop(context.WithoutCancel(t.Context())) })
			}
			<-died
			// Else it would be taken for alive for some seconds.
			b.exec(`UPDATE {schema}.subscription_members SET expires_at = now()`)
			b.process("two", subscription)
			add()
			last := want[len(want)-1]
			b.cursors("h", last, map[string]int{"dead": 2})
			got := s.delivered("")
			for _, p := range want {
				n := 0
				for _, d := range got {
					if d == p {
						n++
					}
				}
				if n == 0 || n > 1 && (!c.again || slices.Contains(known, p)) {
					t.Errorf("the event at %d was delivered %d times", p, n)
				}
			}
		})
	}
}
