package projections

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// TestEventsGatherByWhatACommitTakes, but not while somebody waits for the projection, whether
// before or after the gathering begins; one who waited for what is there by now does not count.
func TestEventsGatherByWhatACommitTakes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newProgress()
		at := eventstore.Token{Log: uuid.New(), Incarnation: 1, Position: 1}
		next := at
		next.Position++
		p.set(true, at)
		gathers := func(lastCommit, want time.Duration) {
			t.Helper()
			begun := time.Now()
			p.gather(t.Context(), lastCommit)
			if took := time.Since(begun); took != want {
				t.Errorf("after a commit of %s events gather for %s, want %s", lastCommit, took, want)
			}
		}
		gathers(time.Millisecond, shortestGathering)
		gathers(3*time.Millisecond, 12*time.Millisecond)
		gathers(time.Second, longestGathering)

		waits := func() { go p.wait(t.Context(), next) }
		waits()
		synctest.Wait()
		gathers(time.Second, 0)
		p.set(true, next)
		synctest.Wait()
		gathers(time.Second, longestGathering)

		next.Position++
		time.AfterFunc(time.Millisecond, waits)
		gathers(time.Second, time.Millisecond)
		p.set(true, next)
		synctest.Wait()
	})
}
