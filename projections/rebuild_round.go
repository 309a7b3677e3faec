package projections

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
)

// rounds reads the log for operations that work at the same time: in a round it is read once for
// the passes of all of them, and decoded once for those that can share the values. A round begins
// when every operation waits for it or needs none any more, so none holds rows of the round before:
// the memory of one is divided among those that take part.
type rounds struct {
	mu sync.Mutex
	// members is how many operations may still ask for a round.
	members int
	waiting []*reading
	readers sync.WaitGroup
}

// seat is the place of one operation in rounds; nil: it reads the log for itself.
type seat struct {
	rounds *rounds
	left   atomic.Bool
}

// leave says that the operation needs no round any more. It may be called more than once.
func (s *seat) leave() {
	if s != nil && s.left.CompareAndSwap(false, true) {
		s.rounds.leave()
	}
}

// taken returns the rounds that the operation takes part in, nil if it does not.
func (s *seat) taken() *rounds {
	if s == nil || s.left.Load() {
		return nil
	}
	return s.rounds
}

// runTogether runs n operations at the same time, each with its seat in the same rounds.
func runTogether(n int, run func(i int, s *seat)) {
	rounds := newRounds(n)
	var operations sync.WaitGroup
	for i := range n {
		operations.Go(func() {
			s := &seat{rounds: rounds}
			defer s.leave()
			run(i, s)
		})
	}
	operations.Wait()
	rounds.readers.Wait()
}

// reading is the part of one pass in a round.
type reading struct {
	pass pass
	// ctx ends when the pass needs no more.
	ctx context.Context
	// alone says that the pass is to have all of the memory.
	alone bool
	// decode computes what a page's events do.
	decode func(*page) any
	// inboxes get each page, and are closed at the end; err is why that was before the target.
	inboxes []chan *page
	closed  bool
	failed  firstFailure
	err     error
	// begun gets the place of the pass in the round that begins.
	begun chan place
}

// place is that of a pass in a round: its number, and of how many.
type place struct{ number, of int }

func newRounds(members int) *rounds { return &rounds{members: members} }

// leave says that one operation needs no round any more.
func (g *rounds) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.members--
	g.begin()
}

// join waits for the next round, which r takes part in, and returns its place there.
func (g *rounds) join(r *reading) (place, error) {
	r.begun = make(chan place, 1)
	g.mu.Lock()
	g.waiting = append(g.waiting, r)
	g.begin()
	g.mu.Unlock()
	select {
	case at := <-r.begun:
		return at, nil
	case <-r.ctx.Done():
	}
	g.mu.Lock()
	g.waiting = slices.DeleteFunc(g.waiting, func(other *reading) bool { return other == r })
	g.mu.Unlock()
	return place{}, context.Cause(r.ctx)
}

// begin begins a round if all members wait for it.
func (g *rounds) begin() {
	if len(g.waiting) == 0 || len(g.waiting) < g.members {
		return
	}
	first := max(slices.IndexFunc(g.waiting, func(r *reading) bool { return r.alone }), 0)
	last := len(g.waiting)
	if g.waiting[first].alone {
		last = first + 1
	}
	round := slices.Clone(g.waiting[first:last])
	g.waiting = slices.Delete(g.waiting, first, last)
	for i, r := range round {
		r.begun <- place{number: i, of: len(round)}
	}
	g.readers.Go(func() { readRound(round) })
}

// readRound reads and decodes the log for the passes of a round.
func readRound(round []*reading) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(round[0].ctx))
	defer cancel()
	var left atomic.Int64
	left.Store(int64(len(round)))
	for _, r := range round {
		defer context.AfterFunc(r.ctx, func() {
			if left.Add(-1) == 0 {
				cancel()
			}
		})()
	}
	all := together(round)
	group, ctx := errgroup.WithContext(ctx)
	undecoded := make(chan *page, all.workers)
	group.Go(func() error {
		defer close(undecoded)
		return all.pages(ctx, func(events []eventstore.RecordedEvent) (more bool, err error) {
			page := &page{events: events, parts: make([]any, len(round)), ready: make(chan struct{})}
			for _, r := range round {
				more = r.take(page) || more
			}
			if !more {
				return false, nil
			}
			select {
			case undecoded <- page:
				return true, nil
			case <-ctx.Done():
				return false, context.Cause(ctx)
			}
		})
	})
	for range all.workers {
		group.Go(func() error {
			for page := range undecoded {
				page.decode(round)
			}
			return nil
		})
	}
	err := group.Wait()
	for _, r := range round {
		r.close(err)
	}
}

// close says that no page comes any more.
func (r *reading) close(err error) {
	if r.closed {
		return
	}
	r.closed, r.err = true, err
	for _, inbox := range r.inboxes {
		close(inbox)
	}
}

// together returns what all passes of a round read.
func together(round []*reading) pass {
	all := round[0].pass
	types := make(map[string]bool)
	for _, r := range round {
		s := r.pass
		all.from, all.target = min(all.from, s.from), max(all.target, s.target)
		all.workers, all.memory = max(all.workers, s.workers), min(all.memory, s.memory)
		if s.throttle > 0 && (all.throttle == 0 || s.throttle < all.throttle) {
			all.throttle = s.throttle
		}
		for _, name := range s.types {
			types[name] = true
		}
	}
	all.types = slices.Sorted(maps.Keys(types))
	all.read = nil // each pass is told of its own events
	return all
}

// take hands a page over to the shards of the pass, unless that needs no more.
func (r *reading) take(page *page) (more bool) {
	if r.failed.before(page.events[0].Position) || r.ctx.Err() != nil {
		r.close(nil)
		return false
	}
	if r.pass.read != nil {
		own := 0
		for i := range page.events {
			if r.pass.includes(&page.events[i]) {
				own++
			}
		}
		last := min(page.events[len(page.events)-1].Position, r.pass.target)
		if r.pass.read(own, len(page.events), last) != nil {
			return false // its context has ended
		}
	}
	for _, inbox := range r.inboxes {
		select {
		case inbox <- page:
		case <-r.ctx.Done():
			return false
		}
	}
	return true
}

// decode lets each pass work out what the events of a page do to its rows.
func (p *page) decode(round []*reading) {
	defer close(p.ready)
	p.values = make([]decodedValue, len(p.events))
	for i, r := range round {
		if r.ctx.Err() == nil && !r.failed.before(p.events[0].Position) {
			p.parts[i] = r.decode(p)
		}
	}
}
