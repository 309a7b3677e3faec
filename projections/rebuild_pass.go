package projections

import (
	"context"
	"errors"
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
	knows *vocabulary
	// from and target are the first and the last position to fold.
	from, target int64
	// skips are the positions of events to leave out.
	skips map[int64]bool
	// buckets is how many there are, want which of them to fold.
	buckets int
	want    func(bucket int) bool
	workers int
	// memory bounds the rows and pages in memory in bytes: what does not fit is left for another pass.
	memory int64
	// throttle is how many events a second are read; 0: as many as there are.
	throttle int
	// rounds are those that the pass takes part in; nil: it reads the log for itself.
	rounds *rounds
	// read is told of each page: how many events it has of the pass and in all, and the position
	// behind it. It may wait, and its error ends the pass. It may be nil.
	read func(own, all int, position int64) error
}

// includes reports whether an event is one of the pass, or one that the program would have to know.
func (s *pass) includes(e Recorded) bool {
	if e.Position < s.from || e.Position > s.target {
		return false
	}
	_, found := slices.BinarySearch(s.types, e.Type)
	return found || !s.codec.Knows(e.Type)
}

const (
	// pagesShare is the part of the memory that one page may have: about twenty are underway, counting
	// what their events do. rowsShare is what is left for rows.
	pagesShare   = 1.0 / 64
	rowsShare    = 0.75
	minPageBytes = 64 << 10
	// pagesPerSecond is into how many pages at least a second's events are divided under a throttle.
	pagesPerSecond = 10
)

// options say how to read the log for the pass.
func (s *pass) options() eventstore.ReadOptions {
	o := eventstore.ReadOptions{From: s.from, PageSize: pageSize, Filter: s.knows.filter(s.types)}
	if s.throttle > 0 {
		o.PageSize = min(max(s.throttle/pagesPerSecond, 1), pageSize)
	}
	o.PageBytes = min(max(int(float64(s.memory)*pagesShare), minPageBytes), eventstore.DefaultPageBytes)
	return o
}

// foldLog folds the log in one round. It returns the shards, with those buckets that fitted. If
// events cannot be applied the error is the *eventError of the first of them.
func (p *foldProjector[K, Row]) foldLog(ctx context.Context, s pass) (shards []*shard[K, Row], total eventstore.Tally, err error) {
	if s.rounds == nil {
		s.rounds = newRounds(1)
		defer s.rounds.readers.Wait()
	}
	of := 0
	for alone := false; ; alone = true {
		shards, total, of, err = p.foldRound(ctx, s, alone)
		if !errors.Is(err, errTooLarge) || of == 1 {
			return shards, total, err
		}
	}
}

// foldRound takes part in a round: its workers decode pages, and goroutines of its own fold them,
// each for the buckets of its own shard.
func (p *foldProjector[K, Row]) foldRound(ctx context.Context, s pass, alone bool) (_ []*shard[K, Row], total eventstore.Tally, of int, err error) {
	group, ctx := errgroup.WithContext(ctx)
	r := &reading{pass: s, ctx: ctx, alone: alone, inboxes: make([]chan *page, s.workers)}
	r.decode = func(page *page) any { return p.decodePage(s, page, &r.failed) }
	for i := range r.inboxes {
		r.inboxes[i] = make(chan *page, 2)
	}
	at, err := s.rounds.join(r)
	if err != nil {
		return nil, eventstore.Tally{}, 0, err
	}
	shards := make([]*shard[K, Row], s.workers)
	limit := int64(float64(s.memory)*rowsShare) / int64(at.of*s.workers)
	for i := range shards {
		shards[i] = newShard(p, limit)
		group.Go(func() error {
			for page := range r.inboxes[i] {
				select {
				case <-page.ready:
				case <-ctx.Done():
					return context.Cause(ctx)
				}
				done, ok := page.parts[at.number].(*parts[K, Row])
				if !ok {
					continue // it comes after an event that cannot be applied
				}
				if i == 0 {
					total = total.Plus(done.counted)
				}
				if err := shards[i].apply(done.of[i], &r.failed); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err = group.Wait(); err == nil {
		err = r.err
	}
	if err == nil {
		err = r.failed.error()
	}
	return shards, total, at.of, err
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

// foldKeys applies to m what the log does to the rows that m has or wants, and tells each, which
// may be nil, of every event that touches one of them.
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
