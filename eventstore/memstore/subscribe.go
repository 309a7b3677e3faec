package memstore

import (
	"context"
	"fmt"
	"iter"

	"github.com/57528e99/recount/eventstore"
)

// Subscribe implements eventstore.Reader.
func (s *Store) Subscribe(ctx context.Context, opts eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	return func(yield func(eventstore.Batch, error) bool) {
		if err := s.subscribe(ctx, opts, yield); err != nil {
			yield(eventstore.Batch{}, fmt.Errorf("subscribe: %w", err))
		}
	}
}

// subscribe returns nil if yield wants no more.
func (s *Store) subscribe(ctx context.Context, opts eventstore.ReadOptions, yield func(eventstore.Batch, error) bool) error {
	next, err := s.subscribeFrom(ctx, opts)
	if err != nil {
		return err
	}
	opts = opts.WithDefaults()
	for {
		batch, grown, err := s.batch(ctx, next, opts)
		if err != nil {
			return err
		}
		if batch.Next > next {
			if next = batch.Next; !yield(batch, nil) {
				return nil
			}
			continue
		}
		select {
		case <-grown:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

func (s *Store) subscribeFrom(ctx context.Context, opts eventstore.ReadOptions) (int64, error) {
	if err := opts.ValidateSubscribe(); err != nil {
		return 0, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	from, err := s.from(opts)
	return max(from, 1), err
}

// batch returns what is in the log from next on, one page of it. If that is
// nothing, grown tells when to look again.
func (s *Store) batch(ctx context.Context, next int64, opts eventstore.ReadOptions) (_ eventstore.Batch, grown <-chan struct{}, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return eventstore.Batch{}, nil, err
	}
	log, head, grown := s.log, s.head(), s.grown
	unlock()

	b := eventstore.Batch{Next: next, Head: head}
	if next > head.Position {
		return b, grown, nil
	}
	bytes := 0
	for high := min(next+int64(opts.PageSize)-1, head.Position); b.Next <= high; {
		var picked []eventstore.RecordedEvent
		end := log[b.Next-1].AppendEnd
		for _, e := range log[b.Next-1 : end] {
			if opts.Filter.Match(e.Type, e.Stream) {
				picked, bytes = append(picked, e), bytes+e.Size()
			}
		}
		if len(b.Events) > 0 && len(picked) > 0 && bytes > opts.PageBytes {
			break
		}
		for _, e := range picked {
			e.Event = cloned(e.Event)
			b.Events = append(b.Events, e)
		}
		b.Next = end + 1
	}
	return b, grown, nil
}
