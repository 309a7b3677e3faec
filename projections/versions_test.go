package projections

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// TestTwoVersionsOfAProgram runs the old program, the next one beside it, the next alone, the old
// one again and at last the next, under load all the time. The next writes deposits in schema
// version 2 and has another version of the accounts. Nothing fails, nobody resumes anything, and no
// deposit is lost.
func TestTwoVersionsOfAProgram(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	oldCodec, codec := newCodec(t), nextCodec(t)
	start := func(c *eventstore.Codec, version int) *Runner {
		b.codec = c
		return b.start(b.runner(newAccounts(version), newTotals("totals")))
	}
	old := start(oldCodec, 1)

	// Whichever program is deployed writes.
	var writing atomic.Pointer[eventstore.Codec]
	writing.Store(oldCodec)
	var deposits atomic.Int64
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i := range 2 {
		load.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				e, err := writing.Load().Encode(deposited{Amount: 1})
				if err == nil {
					_, err = b.store.Append(t.Context(), eventstore.StreamAppend{Stream: fmt.Sprint("account-", i),
						Expected: eventstore.Any, Events: []eventstore.Event{e}}, eventstore.AppendOptions{})
				}
				if err != nil {
					t.Error(err)
					return
				}
				if deposits.Add(1)%50 == 0 {
					head, _ := b.store.Head(t.Context())
					b.eventually(func() error { // no more than the read models can follow
						all, err := b.admin.Show(t.Context(), "totals")
						if err == nil && head.Position-all[0].Position > 200 {
							err = fmt.Errorf("totals are at %d of %d", all[0].Position, head.Position)
						}
						return err
					})
				}
			}
		})
	}
	ended := sync.OnceFunc(func() { close(stop); load.Wait() })
	defer ended()
	passes := func(projection string, version int) {
		t.Helper()
		head, err := b.store.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		b.eventually(func() error {
			all, err := b.admin.Show(t.Context(), projection)
			if err != nil {
				return err
			}
			for _, s := range all {
				if s.State == operations.Failed {
					t.Fatalf("%s version %d has failed: %+v", s.Projection, s.Version, s.Failure)
				}
				if s.Version == version && s.Position >= head.Position+20 {
					return nil
				}
			}
			return fmt.Errorf("%s version %d has not passed %d", projection, version, head.Position)
		})
	}
	passes("accounts", 1)
	next := start(codec, 2)
	passes("accounts", 2)
	passes("accounts", 1) // both are served meanwhile
	writing.Store(codec)
	passes("accounts", 2) // beyond what the old one can read
	passes("totals", 1)
	b.eventually(func() error { return b.shows("accounts", 2) })
	b.stop(old)
	passes("totals", 1)

	writing.Store(oldCodec)
	old = start(oldCodec, 1)
	passes("totals", 1)
	b.stop(next)
	passes("totals", 1) // the old one alone: it need not read what the next has brought behind it
	next = start(codec, 2)
	writing.Store(codec)
	passes("accounts", 2)
	passes("totals", 1)
	b.stop(old)
	ended()

	head, err := b.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b.arrives(next, "accounts", head)
	b.arrives(next, "totals", head)
	for _, view := range []string{"accounts", "totals"} {
		var sum int64
		if err := b.pool().QueryRow(t.Context(), `SELECT sum(balance)::bigint FROM recount.`+view).Scan(&sum); err != nil || sum != deposits.Load() {
			t.Errorf("the view %s has deposits of %d, %v; want %d", view, sum, err, deposits.Load())
		}
		if v := b.verify(next, view); !v.OK() {
			t.Errorf("the verification of %s says %+v", view, v)
		}
	}
}
