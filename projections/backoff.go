package projections

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is the pause between tries, growing and jittered.
type backoff struct{ tries int }

const (
	shortestPause = 50 * time.Millisecond
	longestPause  = 5 * time.Second
)

func (b *backoff) reset() { b.tries = 0 }

func (b *backoff) next() time.Duration {
	pause := min(shortestPause<<min(b.tries, 10), longestPause)
	b.tries++
	return jitter(pause)
}

// jitter spreads processes that wait for the same thing: it returns between half of d and d.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
