package pgstore

import (
	"context"
	"runtime"
	"sync"

	"github.com/57528e99/recount/eventstore"
)

// gather answers what is asked at the same time together, as appends are written:
// a round trip for each question took most of the database's time.
type gather[Q any] struct {
	// answer answers 1 to most questions, all of them.
	answer func(ctx context.Context, questions []Q)
	most   int
	// group has whoever answers.
	group sync.WaitGroup

	mu      sync.Mutex
	waiting []Q
	workers int
	closed  bool
}

// manyWait is how many questions wait for each worker before there is another one.
const manyWait = 32

// ask has a question answered: by the caller itself if nobody else asks now, else
// with the next ones, of which nobody's context ends the answer for the others. It
// is ErrClosed after close.
func (g *gather[Q]) ask(ctx context.Context, q Q) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return eventstore.ErrClosed
	}
	if g.workers == 0 {
		g.workers++
		g.group.Add(1)
		defer g.group.Done()
		g.mu.Unlock()
		g.answer(ctx, []Q{q})
		g.mu.Lock()
		if g.workers--; g.workers == 0 && len(g.waiting) > 0 {
			g.addWorker()
		}
		return nil
	}
	g.waiting = append(g.waiting, q)
	if len(g.waiting) > manyWait*g.workers && g.workers < runtime.GOMAXPROCS(0) {
		g.addWorker()
	}
	return nil
}

func (g *gather[Q]) addWorker() {
	g.workers++
	g.group.Go(g.work)
}

// close takes no more questions and waits until those asked are answered.
func (g *gather[Q]) close() {
	g.mu.Lock()
	g.closed = true
	g.mu.Unlock()
	g.group.Wait()
}

// work answers questions until there are none.
func (g *gather[Q]) work() {
	for {
		// Callers that were just answered, and ask again at once, run first.
		runtime.Gosched()
		g.mu.Lock()
		n := min(len(g.waiting), g.most)
		questions := g.waiting[:n:n]
		if g.waiting = g.waiting[n:]; n == 0 {
			g.waiting = nil
			g.workers--
		}
		g.mu.Unlock()
		if n == 0 {
			return
		}
		g.answer(context.Background(), questions)
	}
}
