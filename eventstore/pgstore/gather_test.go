package pgstore

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAStuckAnswerHoldsUpNobodyElse: the one question is answered by the caller, the other ones beside it.
func TestAStuckAnswerHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		answered := make(chan int, 10)
		g := gather[int]{most: 1, answer: func(_ context.Context, questions []int) {
			for _, q := range questions {
				if q < 2 {
					<-stuck
				}
				answered <- q
			}
		}}
		var all sync.WaitGroup
		ask := func(q int) {
			all.Go(func() {
				if err := g.ask(t.Context(), q); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		begun := time.Now()
		for q := range 6 {
			ask(q)
		}
		for range 4 {
			if q := <-answered; q < 2 {
				t.Errorf("question %d was answered, which is stuck", q)
			}
		}
		if waited := time.Since(begun); waited > 5*stuckAfter {
			t.Errorf("the others waited for %s, want some %s", waited, stuckAfter)
		}
		close(stuck)
		all.Wait()
		g.close()
		if len(answered) != 2 {
			t.Errorf("%d of the stuck questions were answered at last, want 2", len(answered))
		}
	})
}
