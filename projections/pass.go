package projections

import (
	"context"
	"fmt"
	"reflect"
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

// pageSize is how many events are handed over at once: enough that handing over costs nothing, few
// enough that what is underway is small.
const pageSize = 1000

// page is a part of the log on its way to the shards.
type page[K comparable, Row any] struct {
	events []eventstore.RecordedEvent
	// ready is closed when parts is there.
	ready chan struct{}
	// parts has for each shard what its buckets get, in the order of the log.
	parts [][]part[K, Row]
}

// part is what one event does to one bucket.
type part[K comparable, Row any] struct {
	event   Recorded
	bucket  int
	changes changes[K, Row]
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

// pages hands over the events up to the target, page by page, until there are no more or none are
// wanted.
func (s pass) pages(ctx context.Context, hand func([]eventstore.RecordedEvent) (more bool, err error)) error {
	events := make([]eventstore.RecordedEvent, 0, pageSize)
	flush := func() (bool, error) {
		if s.read != nil {
			if err := s.read(len(events), events[len(events)-1].Position); err != nil {
				return false, err
			}
		}
		page := events
		events = make([]eventstore.RecordedEvent, 0, pageSize)
		return hand(page)
	}
	options := eventstore.ReadOptions{From: s.from, PageSize: pageSize, Filter: eventstore.Filter{Types: s.types}}
	for e, err := range s.log.ReadAll(ctx, options) {
		if err != nil {
			return fmt.Errorf("read the log: %w", err)
		}
		if e.Position > s.target {
			break
		}
		if events = append(events, e); len(events) < pageSize {
			continue
		}
		if more, err := flush(); err != nil || !more {
			return err
		}
	}
	if len(events) == 0 {
		return ctx.Err()
	}
	_, err := flush()
	return err
}

// decodePage computes what the events of a page do, as far as they can be decoded.
func (p *foldProjector[K, Row]) decodePage(s pass, page *page[K, Row], failed *firstFailure) (t tally) {
	defer close(page.ready)
	page.parts = make([][]part[K, Row], s.workers)
	for i := range page.events {
		e := &page.events[i]
		t = t.plus(tally{1, Digest{}.Add(e.Position, e.ID)})
		if s.skips[e.Position] {
			continue
		}
		cs, bad := p.decode(s.codec, e)
		if bad != nil {
			failed.add(bad)
			return t
		}
		for j := range cs {
			bucket := bucketOf(reflect.ValueOf(&cs[j].key).Elem(), s.buckets)
			if !s.want(bucket) {
				continue
			}
			to := &page.parts[bucket%s.workers]
			*to = append(*to, part[K, Row]{event: e, bucket: bucket, changes: cs[j : j+1 : j+1]})
		}
	}
	return t
}

// decode returns what an event does.
func (p *foldProjector[K, Row]) decode(codec *eventstore.Codec, e Recorded) (changes[K, Row], *eventError) {
	value, err := codec.Decode(e.Event)
	var cs changes[K, Row]
	if err == nil {
		cs, err = p.changes(Decoded{Event: e, Value: value})
	}
	if err != nil {
		return nil, &eventError{event: e, err: err}
	}
	return cs, nil
}

// touch applies to the rows that m has or wants what an event does to them, and returns that.
func (p *foldProjector[K, Row]) touch(m *memory[K, Row], codec *eventstore.Codec, e Recorded) (changes[K, Row], error) {
	cs, bad := p.decode(codec, e)
	if bad != nil {
		return nil, bad
	}
	cs = slices.DeleteFunc(cs, func(c change[K, Row]) bool { return m.entries[c.key] == nil })
	if err := m.apply(cs, e.Position); err != nil {
		return nil, &eventError{event: e, err: err}
	}
	return cs, nil
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
