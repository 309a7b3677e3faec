package projections

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
)

// pass says what to fold in one reading of the log: the rows of some buckets, in memory.
type pass struct {
	log   eventstore.Reader
	codec *eventstore.Codec
	types []string
	// from and target are the first and the last position to fold.
	from, target int64
	// skips are the positions of events to leave out.
	skips map[int64]bool
	// buckets is how many there are, want which of them to fold.
	buckets int
	want    func(bucket int) bool
	workers int
	// memory bounds the rows in bytes: what does not fit is left for another pass.
	memory int64
	// read is told of each page: how many events it has and the position behind it. It may wait,
	// and its error ends the pass. It may be nil.
	read func(events int, position int64) error
}

// tally counts events, whether or not they are skipped, as checkpoints do.
type tally struct {
	events int64
	digest Digest
}

func (t tally) plus(other tally) tally {
	return tally{t.events + other.events, t.digest.Plus(other.digest)}
}

// foldLog reads the log once: one goroutine reads, workers decode its pages, and others fold them,
// each for the buckets of its own shard. It returns the shards, with those buckets that fitted. If
// events cannot be applied the error is the *eventError of the first of them.
func (p *foldProjector[K, Row]) foldLog(ctx context.Context, s pass) ([]*shard[K, Row], tally, error) {
	shards := make([]*shard[K, Row], s.workers)
	inboxes := make([]chan *page[K, Row], s.workers)
	for i := range shards {
		shards[i] = newShard(p, s.memory/int64(s.workers))
		inboxes[i] = make(chan *page[K, Row], 2)
	}
	undecoded := make(chan *page[K, Row], s.workers)
	var failed firstFailure
	tallies := make([]tally, s.workers)

	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		outlets := append(slices.Clone(inboxes), undecoded)
		defer closeAll(outlets)
		return s.pages(ctx, func(events []eventstore.RecordedEvent) (more bool, err error) {
			if failed.before(events[0].Position) {
				return false, nil
			}
			page := &page[K, Row]{events: events, ready: make(chan struct{})}
			for _, outlet := range outlets {
				select {
				case outlet <- page:
				case <-ctx.Done():
					return false, context.Cause(ctx)
				}
			}
			return true, nil
		})
	})
	for i := range s.workers {
		group.Go(func() error {
			for page := range undecoded {
				tallies[i] = tallies[i].plus(p.decodePage(s, page, &failed))
			}
			return nil
		})
		group.Go(func() error {
			for page := range inboxes[i] {
				select {
				case <-page.ready:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				if err := shards[i].apply(page.parts[i], &failed); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, tally{}, err
	}
	if err := failed.error(); err != nil {
		return nil, tally{}, err
	}
	var total tally
	for _, t := range tallies {
		total = total.plus(t)
	}
	return shards, total, nil
}

func closeAll[T any](channels []chan T) {
	for _, c := range channels {
		close(c)
	}
}

// firstFailure is the failure of the first event that cannot be applied, of those found.
type firstFailure struct {
	// position is that of the event, 0 if there is none.
	position atomic.Int64
	mu       sync.Mutex
	err      *eventError
}

func (f *firstFailure) add(err *eventError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || err.event.Position < f.err.event.Position {
		f.err = err
		f.position.Store(err.event.Position)
	}
}

// before reports whether an event before a position cannot be applied, so that nothing from there
// on matters.
func (f *firstFailure) before(position int64) bool {
	at := f.position.Load()
	return at != 0 && at < position
}

func (f *firstFailure) error() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		return nil
	}
	return f.err
}

// foldKeys applies to m what the log does to the rows that m has or wants, and tells each, which may
// be nil, of every event that touches one of them.
func (p *foldProjector[K, Row]) foldKeys(ctx context.Context, s pass, m *memory[K, Row], each func(K, Recorded)) error {
	return s.pages(ctx, func(events []eventstore.RecordedEvent) (more bool, err error) {
		for i := range events {
			e := &events[i]
			if s.skips[e.Position] {
				continue
			}
			cs, err := p.touch(m, s.codec, e)
			if err != nil {
				return false, err
			}
			for j, c := range cs {
				if each != nil && !slices.ContainsFunc(cs[:j], func(before change[K, Row]) bool { return before.key == c.key }) {
					each(c.key, e)
				}
			}
		}
		return true, nil
	})
}
