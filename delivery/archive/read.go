package archive

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
)

// Range says which events are read.
type Range struct {
	// Log is the log that they are of. Default: the only one that there is.
	Log uuid.UUID
	// From and To are when they were recorded: from then on, and before. Default: from the first, to the last.
	From, To time.Time
	// After is a position behind which they are. Default: 0.
	After int64
}

// ErrSeveralLogs is returned by Read where Range does not say which log, and there are several.
var ErrSeveralLogs = errors.New("the archive has events of several logs")

// Read yields the events of a range in order of position, each once. Where a log was restored, events that it has lost by that are left
// out: those behind the place that it went on from. An error is the last pair: a *DamageError, or what kept it from reading.
//
// It has as many segments in memory as overlap, most often one of each partition, and a few ahead.
func (a *Archive) Read(ctx context.Context, r Range) iter.Seq2[delivery.Event, error] {
	return func(yield func(delivery.Event, error) bool) {
		if err := a.read(ctx, r, func(e delivery.Event) bool { return yield(e, nil) }); err != nil {
			yield(delivery.Event{}, fmt.Errorf("read the archive: %w", err))
		}
	}
}

func (a *Archive) read(ctx context.Context, r Range, yield func(delivery.Event) bool) error {
	segments, ends, err := a.ofLog(ctx, r.Log)
	if err != nil {
		return err
	}
	segments = slices.DeleteFunc(segments, func(s Segment) bool {
		return s.To.Before(r.From) || !r.To.IsZero() && !s.From.Before(r.To) || s.Last <= r.After || s.First > ends[s.Incarnation]
	})
	slices.SortStableFunc(segments, func(x, y Segment) int { return cmp.Compare(x.First, y.First) })
	ctx, cancel := context.WithCancel(ctx)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	ahead := make([]*cursor, 0, len(segments))
	var open cursors
	for done := r.After; ; {
		for len(ahead) < runtime.GOMAXPROCS(0) && len(segments) > 0 {
			c := newCursor(segments[0], ends[segments[0].Incarnation])
			reading.Go(func() { a.load(ctx, c) })
			ahead, segments = append(ahead, c), segments[1:]
		}
		if len(ahead) > 0 && (len(open) == 0 || ahead[0].segment.First <= open[0].event().Position) {
			c := ahead[0]
			ahead = ahead[1:]
			if there, err := c.next(ctx, done); err != nil {
				return err
			} else if there {
				heap.Push(&open, c)
			}
			continue
		}
		if len(open) == 0 {
			return ctx.Err()
		}
		c := open[0]
		e := c.event()
		done = e.Position
		if !e.RecordedAt.Before(r.From) && (r.To.IsZero() || e.RecordedAt.Before(r.To)) && !yield(e) {
			return nil
		}
		// The same event may be in another segment.
		for len(open) > 0 && open[0].event().Position <= done {
			if there, err := open[0].next(ctx, done); err != nil {
				return err
			} else if there {
				heap.Fix(&open, 0)
			} else {
				heap.Pop(&open)
			}
		}
	}
}

// ofLog returns the segments of a log, and up to which position each incarnation counts: to where a later one goes on from.
func (a *Archive) ofLog(ctx context.Context, log uuid.UUID) (segments []Segment, ends map[int64]int64, err error) {
	all, err := a.Segments(ctx)
	if err != nil {
		return nil, nil, err
	}
	firsts := make(map[int64]Segment)
	for _, s := range all {
		switch {
		case log == uuid.UUID{}:
			log = all[0].Log
			if last := all[len(all)-1].Log; log != last {
				return nil, nil, fmt.Errorf("%w: say which of them, such as %s or %s", ErrSeveralLogs, log, last)
			}
		case s.Log != log:
			continue
		}
		if segments = append(segments, s); firsts[s.Incarnation].Key == "" {
			firsts[s.Incarnation] = s
		}
	}
	ends = make(map[int64]int64)
	for n := range firsts {
		ends[n] = math.MaxInt64
	}
	for n, s := range firsts {
		if n == 1 {
			continue
		}
		content, err := a.bucket.get(ctx, s.Key)
		if err != nil {
			return nil, nil, err
		}
		h, _, err := s.decode(content)
		if err != nil {
			return nil, nil, err
		}
		for before, end := range ends {
			if before < n {
				ends[before] = min(end, h.After)
			}
		}
	}
	return segments, ends, nil
}

// cursor is a place in a segment, which is read ahead of it.
type cursor struct {
	segment Segment
	// end is the last position that counts.
	end     int64
	chunks  chan []delivery.Event
	err     error // once chunks is closed
	current []delivery.Event
}

// chunkSize is how many events are handed over at once, chunksAhead how many times as many one is ahead of who reads.
const (
	chunkSize   = 512
	chunksAhead = 4
)

func newCursor(s Segment, end int64) *cursor {
	return &cursor{segment: s, end: end, chunks: make(chan []delivery.Event, chunksAhead)}
}

// load reads the segment.
func (a *Archive) load(ctx context.Context, c *cursor) {
	defer close(c.chunks)
	content, err := a.bucket.get(ctx, c.segment.Key)
	if err != nil {
		c.err = fmt.Errorf("read %s: %w", c.segment.Key, err)
		return
	}
	_, lines, err := c.segment.decode(content)
	if err != nil {
		c.err = err
		return
	}
	for chunk := range slices.Chunk(lines, chunkSize) {
		events := make([]delivery.Event, 0, len(chunk))
		for _, line := range chunk {
			e, err := c.segment.parse(line)
			if err != nil {
				c.err = err
				return
			}
			if e.Position > c.end {
				break
			}
			events = append(events, e)
		}
		select {
		case c.chunks <- events:
		case <-ctx.Done():
			return
		}
		if len(events) < len(chunk) {
			return
		}
	}
}

// next goes on to the first event behind a position, and reports whether there is one.
func (c *cursor) next(ctx context.Context, after int64) (bool, error) {
	for {
		for len(c.current) > 0 {
			if c.current[0].Position > after {
				return true, nil
			}
			c.current = c.current[1:]
		}
		chunk, ok := <-c.chunks // closed when ctx ends too
		if !ok {
			return false, cmp.Or(ctx.Err(), c.err)
		}
		c.current = chunk
	}
}

func (c *cursor) event() delivery.Event { return c.current[0] }

// cursors is a heap by position; of the same event the copy of the last incarnation is first.
type cursors []*cursor

func (h cursors) Len() int { return len(h) }
func (h cursors) Less(i, j int) bool {
	a, b := h[i], h[j]
	return cmp.Or(cmp.Compare(a.event().Position, b.event().Position), cmp.Compare(b.segment.Incarnation, a.segment.Incarnation)) < 0
}
func (h cursors) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *cursors) Push(x any)   { *h = append(*h, x.(*cursor)) }
func (h *cursors) Pop() any {
	last := len(*h) - 1
	c := (*h)[last]
	*h = (*h)[:last]
	return c
}
