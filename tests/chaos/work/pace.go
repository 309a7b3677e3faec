package work

import (
	"context"
	"sync"
	"time"
)

// pacer keeps the appends of a process to a rate.
type pacer struct {
	perEvent time.Duration // 0: no bound

	mu   sync.Mutex
	next time.Time
	left int64
}

func newPacer(rate float64, events int64) *pacer {
	p := &pacer{left: events}
	if events == 0 {
		p.left = 1 << 62
	}
	if rate > 0 {
		p.perEvent = time.Duration(float64(time.Second) / rate)
	}
	return p
}

// wait waits until n more events may go. It returns false when ctx has ended.
func (p *pacer) wait(ctx context.Context, n int) bool {
	p.mu.Lock()
	now := time.Now()
	// What could not be sent while something was broken is made up for, within
	// bounds.
	p.next = maxTime(p.next, now.Add(-3*time.Second))
	delay := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(n) * p.perEvent)
	p.mu.Unlock()
	if p.exhausted() {
		<-ctx.Done()
		return false
	}
	return pause(ctx, max(delay, 0))
}

// sent counts events that were acknowledged.
func (p *pacer) sent(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left -= int64(n)
}

func (p *pacer) exhausted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left <= 0
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
