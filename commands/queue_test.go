package commands

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/57528e99/recount/eventstore/memstore"
)

func TestTurnsAreGivenInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		mustEnter(t, q, "a")
		var order []int
		var wg sync.WaitGroup
		for i := range 5 {
			wg.Go(func() {
				mustEnter(t, q, "a")
				order = append(order, i)
				q.leave("a")
			})
			synctest.Wait()
		}
		mustEnter(t, q, "b") // another name does not wait
		q.leave("b")
		q.leave("a")
		wg.Wait()
		if fmt.Sprint(order) != "[0 1 2 3 4]" {
			t.Errorf("turns came in order %v", order)
		}
		wantIdle(t, q)
	})
}

func TestWaiterWhoseContextEndsLeavesTheQueue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := memstore.New(memstore.Config{})
		h := newAccounts(t, store, Config{})
		mustEnter(t, h.queue, "account-1")
		ctx, cancel := context.WithCancel(t.Context())
		gone, stayed := make(chan error, 1), make(chan error, 1)
		handle := func(ctx context.Context, c Command[account, accountEvent], result chan<- error) {
			_, err := h.Handle(ctx, "1", c, Options{})
			result <- err
		}
		go handle(ctx, deposit{1}, gone)
		synctest.Wait()
		go handle(t.Context(), deposit{10}, stayed)
		synctest.Wait()
		cancel()
		wantError(t, <-gone, context.Canceled)
		h.queue.leave("account-1")
		wantError(t, <-stayed, nil)
		wantBalance(t, h, "1", 10, 0)
		wantIdle(t, h.queue)
	})
}

func TestContextThatHasEndedTakesNoTurn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	q := newQueue()
	wantError(t, q.enter(ctx, "a"), context.Canceled)
	wantIdle(t, q)
}

// The turn may come in the moment in which its waiter gives up: then it goes to
// the next one.
func TestTurnOfOneWhoGivesUpIsNotLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		mustEnter(t, q, "a")
		ctx, cancel := context.WithCancel(t.Context())
		gone, stayed := make(chan error, 1), make(chan error, 1)
		go func() { gone <- q.enter(ctx, "a") }()
		synctest.Wait()
		go func() { stayed <- q.enter(t.Context(), "a") }()
		synctest.Wait()

		// With the lock held, the first waiter cannot leave the line before it
		// is given the turn.
		q.mu.Lock()
		cancel()
		q.pass("a")
		q.mu.Unlock()
		wantError(t, <-gone, context.Canceled)
		wantError(t, <-stayed, nil)
		q.leave("a")
		wantIdle(t, q)
	})
}

func TestQueueUnderLoad(t *testing.T) {
	t.Parallel()
	q := newQueue()
	inside := make(map[string]int)
	inParallel(500, func(i int) {
		name := fmt.Sprint(i % 3)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if i%5 == 0 {
			go cancel()
		}
		if err := q.enter(ctx, name); err != nil {
			return
		}
		q.mu.Lock()
		inside[name]++
		q.mu.Unlock()
		runtime.Gosched()
		q.mu.Lock()
		if inside[name]--; inside[name] != 0 {
			t.Errorf("%d others have the turn of %q", inside[name], name)
		}
		q.mu.Unlock()
		q.leave(name)
	})
	wantIdle(t, q)
}

func mustEnter(t *testing.T, q *queue, name string) {
	t.Helper()
	if err := q.enter(t.Context(), name); err != nil {
		t.Errorf("enter(%q): %v", name, err)
	}
}

func wantIdle(t *testing.T, q *queue) {
	t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) != 0 {
		t.Fatalf("the queue still holds %d names", len(q.waiting))
	}
}
