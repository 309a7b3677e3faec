package projections

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"slices"
)

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
