package pgstore

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAStuckAnswerHoldsUpNobodyElse: all that are answered by their callers are stuck, and one of
// the others.
func TestAStuckAnswerHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	const stuckOnes, others = maxAlone + 1, 4
	synctest.Test(t, func(t *testing.T) {
		stuck := make(chan struct{})
		answered := make(chan int, stuckOnes+others)
		g := gather[int]{most: 1, answer: func(_ context.Context, questions []int) {
			for _, q := range questions {
				if q < stuckOnes {
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
		for q := range stuckOnes + others {
			ask(q)
		}
		for range others {
			if q := <-answered; q < stuckOnes {
				t.Errorf("question %d was answered, which is stuck", q)
			}
		}
		if waited := time.Since(begun); waited > 5*stuckAfter {
			t.Errorf("the others waited for %s, want some %s", waited, stuckAfter)
		}
		close(stuck)
		all.Wait()
		g.close()
		if len(answered) != stuckOnes {
			t.Errorf("%d of the stuck questions were answered at last, want %d", len(answered), stuckOnes)
		}
	})
}
