package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

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

// shard is the rows of some buckets, in memory, within a bound. When they grow beyond it, the
// highest of its buckets are given up, one after the other, and are left for another pass: so how
// many rows there are need not be known before.
type shard[K comparable, Row any] struct {
	projector *foldProjector[K, Row]
	limit     int64
	size      int64
	buckets   map[int]*bucket[K, Row]
	// from is the lowest bucket that was given up, if any was.
	from    int
	givenUp bool
}

// bucket is the rows of one bucket.
type bucket[K comparable, Row any] struct {
	rows *memory[K, Row]
	size int64
}

func newShard[K comparable, Row any](p *foldProjector[K, Row], limit int64) *shard[K, Row] {
	return &shard[K, Row]{projector: p, limit: limit, buckets: make(map[int]*bucket[K, Row])}
}

// held reports whether the shard has all rows of a bucket that it was asked for.
func (s *shard[K, Row]) held(bucket int) bool { return !s.givenUp || bucket < s.from }

// errTooLarge is returned if a single bucket does not fit.
var errTooLarge = errors.New("a part of the rows that cannot be divided does not fit in the memory allowed")

// apply folds a page's part.
func (s *shard[K, Row]) apply(parts []part[K, Row], failed *firstFailure) error {
	for _, part := range parts {
		switch {
		case !s.held(part.bucket):
			continue
		case failed.before(part.event.Position):
			return nil
		}
		b := s.buckets[part.bucket]
		if b == nil {
			b = &bucket[K, Row]{rows: newMemory(s.projector)}
			s.buckets[part.bucket] = b
		}
		e := b.rows.want(part.change.key)
		if err := b.rows.change(e, part.change, part.event.Position); err != nil {
			failed.add(&eventError{event: part.event, err: err})
			return nil
		}
		grown := e.measure(reflect.ValueOf(&part.change.key).Elem())
		b.size += grown
		s.size += grown
		if s.size > s.limit {
			if err := s.shrink(); err != nil {
				return err
			}
		}
	}
	return nil
}

// rowOverhead is what an entry costs beside its key and row: places in a map and a list.
const rowOverhead = 112

// measure returns by how much a row that changed has grown. It is measured when it changes for the
// first, second, fourth, eighth time and so on: rows that take long to measure are long because
// they changed often.
func (e *entry[Row]) measure(key reflect.Value) (grown int64) {
	e.touched++
	if bits.OnesCount64(e.touched) != 1 {
		return 0
	}
	size := rowOverhead + 2*int64(key.Type().Size()) + sizeOf(key)
	if e.row != nil {
		row := reflect.ValueOf(e.row).Elem()
		size += int64(row.Type().Size()) + sizeOf(row)
	}
	grown, e.size = size-e.size, size
	return grown
}

// shrink gives buckets up until the rest fits.
func (s *shard[K, Row]) shrink() error {
	for s.size > s.limit {
		if len(s.buckets) == 1 {
			return fmt.Errorf("%w: %d bytes for each worker", errTooLarge, s.limit)
		}
		highest := slices.Max(slices.Collect(maps.Keys(s.buckets)))
		s.size -= s.buckets[highest].size
		delete(s.buckets, highest)
		s.from, s.givenUp = highest, true
	}
	return nil
}

// bucketOf returns the bucket of a key, as it comes back from the table, among n. It is the same in
// every process: a rebuild that is resumed keeps the buckets that another one finished.
func bucketOf(key reflect.Value, n int) int {
	h := mix(fold64(offset64, key))
	return int(h % uint64(n))
}

// FNV-1a, with a finalizer: its lower bits alone are poor for numbers in a row.
const (
	offset64 = 14695981039346656037
	prime64  = 1099511628211
)

func fold64(h uint64, v reflect.Value) uint64 {
	switch {
	case v.CanInt():
		return foldUint(h, uint64(v.Int()))
	case v.CanUint():
		return foldUint(h, v.Uint())
	}
	switch v.Kind() {
	case reflect.String:
		for _, b := range []byte(v.String()) {
			h = (h ^ uint64(b)) * prime64
		}
		return (h ^ 0xff) * prime64 // so that "a", "bc" is not "ab", "c"
	case reflect.Bool:
		if v.Bool() {
			return foldUint(h, 1)
		}
		return foldUint(h, 0)
	case reflect.Array:
		for i := range v.Len() {
			h = fold64(h, v.Index(i))
		}
		return h
	case reflect.Struct:
		if t, ok := v.Interface().(time.Time); ok {
			return foldUint(h, uint64(t.UnixMicro()))
		}
		for i := range v.NumField() {
			h = fold64(h, v.Field(i))
		}
		return h
	default:
		panic(fmt.Sprintf("a key cannot have a %s", v.Type())) // rowmap.Key refuses it
	}
}

func foldUint(h, u uint64) uint64 {
	for range 8 {
		h = (h ^ u&0xff) * prime64
		u >>= 8
	}
	return h
}

// mix is the finalizer of SplitMix64.
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
