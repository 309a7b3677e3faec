package projections

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/operations"
)

// TestOperationsEndUnderWrites appends all the while: the new rows must catch up with
// ones that move, and rows that differ only because they are newer are no difference.
func TestOperationsEndUnderWrites(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	r := b.start(b.runner(f))
	b.arrives(r, "accounts", b.fill(100))
	stop := make(chan struct{})
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	var writer sync.WaitGroup
	writer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-tick.C: // faster than any projection can follow would prove nothing
			}
			switch stream := fmt.Sprintf("account-%d", i%100); i % 7 {
			case 0:
				b.append(stream, transferred{To: []string{fmt.Sprint(i % 90), fmt.Sprint(i % 80)}, Amount: 1}, deposited{Amount: 2})
			case 1:
				b.append(stream, closed{}, opened{})
			default:
				b.append(stream, opened{Owner: ptr("ann")})
			}
		}
	})
	other := b.runner(f) // as another process
	for _, kind := range []operations.Kind{Rebuild, Verify, Rollback, Repair, Rebuild, Verify} {
		op, err := other.Run(t.Context(), operations.Request{Kind: kind, Subject: "accounts", Actor: "test",
			Options: operations.Options{Verify: kind == Rebuild, Key: map[operations.Kind]string{Repair: "7"}[kind]}}, nil)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if kind == Verify {
			if v := b.verify(other, "accounts"); !v.OK() {
				t.Errorf("%s: %+v", op.Kind, v)
			}
		}
	}
	close(stop)
	writer.Wait()
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
}

// TestASwitchHoldsWhatMovesOn lets the generation that serves move on before each try to switch:
// the new one is never as far by itself, so it must be held for a moment.
func TestASwitchHoldsWhatMovesOn(t *testing.T) {
	t.Parallel()
	for _, kind := range []operations.Kind{Rebuild, Rollback} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			f := newAccounts(1)
			live := b.start(b.runner(f))
			b.arrives(live, "accounts", b.fill(50))
			r := b.runner(f) // as another process
			if kind == Rollback {
				b.rebuild(r, "accounts", operations.Options{})
			}
			tries := 0
			ctx, cancel := context.WithTimeout(failpoint.On(t, failpoint.Calls{failpoint.RebuildCaughtUp: func() {
				tries++
				b.arrives(live, "accounts", b.append("account-2", deposited{Amount: 5, Note: "late"}))
			}}), 30*time.Second)
			defer cancel()
			if _, err := r.Run(ctx, operations.Request{Kind: kind, Subject: "accounts", Actor: "test"}, nil); err != nil {
				t.Fatalf("after %d tries: %v", tries, err)
			}
			b.finish("accounts")
			if err := b.compare(f); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestASwitchEndsUnderAppendsWithoutAPause appends one event after the other until all is done. It
// waits only where a projection could not follow: there a switch cannot end.
func TestASwitchEndsUnderAppendsWithoutAPause(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newAccounts(1)
	b.arrives(b.start(b.runner(f)), "accounts", b.fill(50))
	ctx, stop := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	writer.Go(func() {
		const most = 5000 // that it is ahead
		for i, applied := 0, int64(0); ctx.Err() == nil; i++ {
			end := b.append(fmt.Sprintf("account-%d", i%50), opened{Owner: ptr("on and on")}) // a row of the same size
			if end.Position-applied <= most {
				continue
			}
			b.eventually(func() error {
				all, err := b.admin.Show(b.Context(), "accounts")
				if err != nil || ctx.Err() != nil {
					return err
				}
				applied = all[slices.IndexFunc(all, func(s Status) bool { return s.Current })].Position
				if end.Position-applied > most {
					return fmt.Errorf("the rows that are read are at position %d, and the log at %d", applied, end.Position)
				}
				return nil
			})
		}
	})
	other := b.runner(f)
	for _, kind := range []operations.Kind{Rebuild, Rollback} {
		within, cancel := context.WithTimeout(t.Context(), time.Minute)
		if _, err := other.Run(within, operations.Request{Kind: kind, Subject: "accounts", Actor: "test"}, nil); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		cancel()
	}
	stop()
	writer.Wait()
	if v := b.verify(other, "accounts"); !v.OK() {
		t.Errorf("after all: %+v", v)
	}
}
