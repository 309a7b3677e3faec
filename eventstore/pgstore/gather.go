package pgstore

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// gather answers what many ask at the same time together, as appends are written:
// a round trip for each question took most of the database's time. A few ask each
// by itself: what waits for others takes longer as long as the database has time.
type gather[Q any] struct {
	// answer answers 1 to most questions, all of them.
	answer func(ctx context.Context, questions []Q)
	most   int
	// group has whoever answers.
	group sync.WaitGroup

	mu      sync.Mutex
	waiting []Q
	// alone is how many callers answer their own question, workers how many answer those that wait.
	alone, workers int
	closed         bool
	// moved is when an answer was last begun or given, watched whether help is to come.
	moved   time.Time
	watched bool
}

const (
	// maxAlone is how many questions are answered each by itself.
	maxAlone = 8
	// manyWait is how many questions wait for each worker before there is another one.
	manyWait = 32
	// stuckAfter is for how long nothing is answered before there is another one, maxWorkers how many
	// there are then.
	stuckAfter = 50 * time.Millisecond
	maxWorkers = 8
)

// ask has a question answered: by the caller itself while only a few others ask, else
// with the next ones, of which nobody's context ends the answer for the others. It
// is ErrClosed after close.
func (g *gather[Q]) ask(ctx context.Context, q Q) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return eventstore.ErrClosed
	}
	if g.workers == 0 && g.alone < maxAlone {
		g.alone++
		g.group.Add(1)
		defer g.group.Done()
		g.mu.Unlock()
		g.answer(ctx, []Q{q})
		g.mu.Lock()
		g.alone--
		return nil
	}
	g.waiting = append(g.waiting, q)
	if g.workers == 0 || len(g.waiting) > manyWait*g.workers && g.workers < runtime.GOMAXPROCS(0) {
		g.addWorker()
	}
	g.watch()
	return nil
}

func (g *gather[Q]) addWorker() {
	g.workers++
	g.moved = time.Now()
	g.group.Go(g.work)
}

func (g *gather[Q]) watch() {
	if !g.watched {
		g.watched = true
		time.AfterFunc(stuckAfter, g.help)
	}
}

// help adds a worker if questions wait and those there are answer nothing: one whose connection is
// stuck must not hold up all others.
func (g *gather[Q]) help() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watched = false
	if len(g.waiting) == 0 {
		return
	}
	if g.workers < maxWorkers && time.Since(g.moved) >= stuckAfter {
		g.addWorker()
	}
	g.watch()
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
		g.mu.Lock()
		g.moved = time.Now()
		g.mu.Unlock()
	}
}
