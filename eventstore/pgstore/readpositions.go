package pgstore

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

const positionsOfLog = eventColumns + `
FROM {schema}.events e
WHERE e.position = ANY($1::bigint[])
ORDER BY e.position`

// readPositions is readAll for opts.Positions in a log with the given head.
func (s *Store) readPositions(ctx context.Context, head eventstore.Token, opts eventstore.ReadOptions, yield func(eventstore.RecordedEvent) bool) error {
	there, _ := slices.BinarySearch(opts.Positions, head.Position+1)
	left := opts.Positions[:there]
	if opts.Limit > 0 && opts.Limit < math.MaxInt {
		left = left[:min(len(left), int(opts.Limit))]
	}
	sizes := newSizer(opts)
	p := page{bytes: sizes.bytes}
	for len(left) > 0 {
		events, err := s.readThese(ctx, &p, left[:min(len(left), sizes.size())])
		if err != nil {
			return err
		}
		for _, e := range events {
			if !yield(e) {
				return nil
			}
		}
		sizes.learn(events)
		left = left[len(events):]
	}
	return nil
}

// readThese reads into p the events at some positions, as many as there is room for, which is one at least.
func (s *Store) readThese(ctx context.Context, p *page, positions []int64) ([]eventstore.RecordedEvent, error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	if err := failpoint.Fail(failpoint.ReadPage); err != nil {
		return nil, err
	}
	p.events, p.ids = slices.Grow(p.events[:0], len(positions)), slices.Grow(p.ids[:0], len(positions))
	if err := s.scanPage(ctx, p, len(positions), positionsOfLog, positions); err != nil {
		return nil, fmt.Errorf("read the log: %w", translate(err))
	}
	for i, position := range positions {
		if i == len(p.events) && p.full {
			break
		}
		if i == len(p.events) || p.events[i].Position != position {
			return nil, s.explainGap(ctx, position, missing(position))
		}
	}
	return p.events, s.fill(ctx, p, "")
}
