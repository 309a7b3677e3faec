package projections

import (
	"context"
	"sync"
)

// progress tells those who wait in this process how far a projection has come.
type progress struct {
	mu       sync.Mutex
	running  bool
	position int64
	// changed is closed, and replaced, when one of the above changes.
	changed chan struct{}
}

func newProgress() *progress { return &progress{changed: make(chan struct{})} }

func (p *progress) set(running bool, position int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.position = running, position
	close(p.changed)
	p.changed = make(chan struct{})
}

// wait returns true when the projection has come to position, and false if it does not run in this
// process or ctx ends.
func (p *progress) wait(ctx context.Context, position int64) bool {
	for {
		p.mu.Lock()
		running, reached, changed := p.running, p.position >= position, p.changed
		p.mu.Unlock()
		if reached || !running {
			return reached && running
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}
