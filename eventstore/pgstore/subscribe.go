package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// Subscribe implements eventstore.Reader.
func (s *Store) Subscribe(ctx context.Context, opts eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	return func(yield func(eventstore.Batch, error) bool) {
		if err := s.subscribe(ctx, opts, func(b eventstore.Batch) bool { return yield(b, nil) }); err != nil {
			yield(eventstore.Batch{}, err)
		}
	}
}

func (s *Store) subscribe(ctx context.Context, opts eventstore.ReadOptions, yield func(eventstore.Batch) bool) error {
	if err := opts.ValidateSubscribe(); err != nil {
		return err
	}
	head, next, err := s.begin(ctx, opts)
	if err != nil {
		return err
	}
	next = max(next, 1)
	s.subscriptions.Add(1)
	defer s.subscriptions.Add(-1)
	sizes := newSizer(opts)
	changed := func() bool { return !s.incarnation().isIncarnationOf(head) }
	for {
		if err := s.hub.wait(ctx, next, s.done, changed); err != nil {
			return err
		}
		if changed() {
			// The log was adopted or replaced while we read it. What we have read must
			// be of the part that both incarnations share, like a token.
			head.Position = next - 1
			if head, err = s.goOn(ctx, head); err != nil {
				return err
			}
			continue
		}
		b, err := s.nextBatch(ctx, head, opts.Filter, next, sizes)
		if err != nil {
			return err
		}
		if b.Next == 0 {
			continue
		}
		if !yield(b) {
			return nil
		}
		next = b.Next
	}
}

// goOn returns the head of a log that was adopted or replaced, for a reader that may go
// on behind t.
func (s *Store) goOn(ctx context.Context, t eventstore.Token) (eventstore.Token, error) {
	head, err := s.Head(ctx)
	if err != nil {
		return eventstore.Token{}, err
	}
	return head, s.checkToken(ctx, t, head)
}

// nextBatch returns the batch that begins at next, which the log has reached in
// the given incarnation; the zero batch if what is known of the log was reset meanwhile.
func (s *Store) nextBatch(ctx context.Context, incarnation eventstore.Token, f eventstore.Filter, next int64, sizes *sizer) (eventstore.Batch, error) {
	recent, head := s.hub.recent(next, sizes)
	if head < next {
		return eventstore.Batch{}, nil
	}
	b := eventstore.Batch{Head: incarnation}
	b.Head.Position = head
	if len(recent) > 0 {
		b.Next = recent[len(recent)-1].Position + 1
		b.Events = recent
		if !f.IsZero() {
			b.Events = slices.DeleteFunc(recent, func(e eventstore.RecordedEvent) bool { return !f.Match(e.Type, e.Stream) })
		}
		return b, nil
	}
	limit := sizes.size()
	span := int64(limit)
	if !f.IsZero() {
		span = sizes.window
	}
	high := min(head, next+span-1)
	if !f.IsZero() && high < head {
		var err error
		if high, err = s.appendEnd(ctx, high); err != nil {
			return b, err
		}
	}
	p := &page{bytes: sizes.bytes}
	events, err := s.readRange(ctx, p, f, next, high, limit, false)
	if err != nil {
		return b, err
	}
	if p.full {
		// What lies behind the last event was not looked at.
		high = events[len(events)-1].Position
	}
	sizes.learn(events)
	b.Events, high, err = s.wholeAppends(ctx, f, next, high, events)
	b.Next = high + 1
	return b, err
}

// appendEnd returns the end of the append that a position lies in. A filter may
// leave nothing of it that would tell.
func (s *Store) appendEnd(ctx context.Context, position int64) (int64, error) {
	const query = `SELECT position + append_rest FROM {schema}.events WHERE position = $1`
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var end int64
	err := s.cfg.Pool.QueryRow(ctx, s.sql(query), position).Scan(&end)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, missing(position)
	}
	if err != nil {
		return 0, fmt.Errorf("read the log: %w", translate(err))
	}
	return end, nil
}

// wholeAppends cuts events, read from next to high, where an append ends: one
// that the page has only a part of is left for the next page, or read to its
// end if it is the only one.
func (s *Store) wholeAppends(ctx context.Context, f eventstore.Filter, next, high int64, events []eventstore.RecordedEvent) ([]eventstore.RecordedEvent, int64, error) {
	if len(events) == 0 {
		return nil, high, nil
	}
	end := events[len(events)-1].AppendEnd
	if end <= high {
		return events, high, nil
	}
	first := slices.IndexFunc(events, func(e eventstore.RecordedEvent) bool { return e.AppendEnd == end })
	if first > 0 {
		return events[:first], events[first-1].AppendEnd, nil
	}
	events, err := s.readRange(ctx, &page{bytes: math.MaxInt}, f, next, end, int(end-next+1), false)
	return events, end, err
}
