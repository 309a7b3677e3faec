package projections

import (
	"context"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// progress tells those who wait in this process how far a projection has come.
type progress struct {
	mu      sync.Mutex
	running bool
	at      eventstore.Token
	// changed is closed, and replaced, when one of the above changes.
	changed chan struct{}
}

func newProgress() *progress { return &progress{changed: make(chan struct{})} }

func (p *progress) set(running bool, at eventstore.Token) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running, p.at = running, at
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *progress) isRunning() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// wait waits while the projection runs in this process and is before want, and until ctx ends.
func (p *progress) wait(ctx context.Context, want eventstore.Token) (at eventstore.Token, running bool) {
	for {
		p.mu.Lock()
		at, running := p.at, p.running
		changed := p.changed
		p.mu.Unlock()
		if !running || !before(at, want) {
			return at, running
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return at, running
		}
	}
}

// before reports whether a place is before another in the same life of the same log; a place in
// another cannot be waited for.
func before(at, want eventstore.Token) bool {
	return at.Log == want.Log && at.Incarnation == want.Incarnation && at.Position < want.Position
}
