// Package background has what work that goes on by itself needs: a loop that pauses when there is
// nothing to do and after errors, and a service that starts and stops.
package background

import (
	"context"
	"math/rand/v2"
	"time"
)

// Next says what a Loop does after a step.
type Next int

const (
	// Idle: there was nothing to do.
	Idle Next = iota
	// Again: something was done, and there may be more.
	Again
	// Done ends the loop.
	Done
)

// Loop does a step again and again.
type Loop struct {
	// Idle is about how long to wait after a step that found nothing to do.
	Idle time.Duration
	// Wake ends such a wait, see the function Wake. It may be nil.
	Wake <-chan struct{}
	// Backoff is how long to wait after errors. One that comes with Again is the first of a row.
	Backoff Backoff
	// Failed is told of each error that is not the last, and how long the loop waits after it. It may
	// be nil where every error comes with Done.
	Failed func(err error, pause time.Duration)
}

// Run does steps until one returns Done, and returns its error, or until ctx is done, and returns
// its cause.
func (l Loop) Run(ctx context.Context, step func(context.Context) (Next, error)) error {
	for ctx.Err() == nil {
		next, err := step(ctx)
		if next == Done {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		if err == nil || next == Again {
			l.Backoff.Reset()
		}
		switch {
		case err != nil:
			pause := l.Backoff.Next()
			l.Failed(err, pause)
			Sleep(ctx, pause)
		case next == Idle:
			wait(ctx, Jitter(l.Idle), l.Wake)
		}
	}
	return context.Cause(ctx)
}

// Wake ends the present wait of the loop that has the channel, or its next. The channel has room
// for one.
func Wake(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// Backoff is the pause between tries: it doubles, with jitter.
type Backoff struct {
	// Shortest is the first pause. Default: 50ms. Longest bounds all. Default: 5s.
	Shortest, Longest time.Duration
	last              time.Duration
}

// Reset makes the next pause the first.
func (b *Backoff) Reset() { b.last = 0 }

// Next returns how long to wait before the next try.
func (b *Backoff) Next() time.Duration {
	shortest, longest := b.Shortest, b.Longest
	if shortest == 0 {
		shortest = 50 * time.Millisecond
	}
	if longest == 0 {
		longest = 5 * time.Second
	}
	b.last = min(max(2*b.last, shortest), longest)
	return Jitter(b.last)
}

// Jitter spreads those that wait for the same thing: it returns between half of d and d.
func Jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// Sleep waits for d, and reports whether it did: not if ctx ended before.
func Sleep(ctx context.Context, d time.Duration) bool { return wait(ctx, d, nil) }

func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}
