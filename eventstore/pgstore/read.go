package pgstore

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsession"
)

// readTimeout bounds each read of the log, not all that an iterator makes: that of
// a subscription goes on for as long as its reader lives, and on a connection
// whose other end is gone a statement would never end.
const readTimeout = time.Minute

const selectEnd = `
SELECT i.log_id, i.n, coalesce((SELECT max(e.position) FROM {schema}.events e), 0)
FROM {schema}.log_incarnations i ORDER BY i.n DESC LIMIT 1`

// Head implements eventstore.Reader.
func (s *Store) Head(ctx context.Context) (eventstore.Token, error) {
	if err := s.usable(); err != nil {
		return eventstore.Token{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	var t eventstore.Token
	err := pgsession.Retry(ctx, func() error {
		return s.cfg.Pool.QueryRow(ctx, s.sql(selectEnd)).Scan(&t.Log, &t.Incarnation, &t.Position)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = s.checkIncarnation(incarnation{}) // tables that no store was opened on yet
	}
	if err != nil {
		return eventstore.Token{}, fmt.Errorf("read the head of the log: %w", translate(err))
	}
	if !s.incarnation().isIncarnationOf(t) {
		// Somebody adopted the log meanwhile, and it may have become shorter; or it
		// is another one.
		if err := s.identify(ctx); err != nil {
			return eventstore.Token{}, fmt.Errorf("read the head of the log: %w", translate(err))
		}
	}
	s.hub.seen(t.Position)
	return t, nil
}

// ReadAll implements eventstore.Reader.
func (s *Store) ReadAll(ctx context.Context, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return func(yield func(eventstore.RecordedEvent, error) bool) {
		if err := s.readAll(ctx, opts, func(e eventstore.RecordedEvent) bool { return yield(e, nil) }); err != nil {
			yield(eventstore.RecordedEvent{}, err)
		}
	}
}

func (s *Store) readAll(ctx context.Context, opts eventstore.ReadOptions, yield func(eventstore.RecordedEvent) bool) error {
	if err := opts.ValidateReadAll(); err != nil {
		return err
	}
	head, from, err := s.begin(ctx, opts)
	if err != nil {
		return err
	}
	if opts.Positions != nil {
		return s.readPositions(ctx, head, opts, yield)
	}
	low, high := max(from, 1), head.Position
	if opts.Backwards {
		low, high = 1, min(from, head.Position)
	}
	left := opts.Limit
	if left <= 0 {
		left = math.MaxInt64
	}
	sizes := newSizer(opts)
	p := page{bytes: sizes.bytes}
	for low <= high && left > 0 {
		pageLow, pageHigh, limit := nextRange(low, high, left, sizes, opts)
		events, err := s.readRange(ctx, &p, opts.Filter, pageLow, pageHigh, limit, opts.Backwards)
		if err != nil {
			return err
		}
		for _, e := range events {
			if !yield(e) {
				return nil
			}
		}
		left -= int64(len(events))
		sizes.learn(events)
		if p.full {
			// What lies behind its last event is still to come.
			pageLow, pageHigh = events[len(events)-1].Position, events[len(events)-1].Position
		}
		if opts.Backwards {
			high = pageLow - 1
		} else {
			low = pageHigh + 1
		}
	}
	return nil
}

// nextRange returns the positions that the next page covers and how many events
// it may have.
func nextRange(low, high, left int64, sizes *sizer, opts eventstore.ReadOptions) (pageLow, pageHigh int64, limit int) {
	limit = int(min(left, int64(sizes.size())))
	span := int64(limit)
	if !opts.Filter.IsZero() {
		span = sizes.window
	}
	if opts.Backwards {
		return max(low, high-span+1), high, limit
	}
	return low, min(high, low+span-1), limit
}

// begin returns the head of the log and the position at which reading begins.
func (s *Store) begin(ctx context.Context, opts eventstore.ReadOptions) (head eventstore.Token, from int64, err error) {
	if head, err = s.Head(ctx); err != nil {
		return head, 0, err
	}
	from, err = s.firstPosition(ctx, opts, head)
	return head, from, err
}

// firstPosition returns the position at which reading begins.
func (s *Store) firstPosition(ctx context.Context, opts eventstore.ReadOptions, head eventstore.Token) (int64, error) {
	if opts.After.IsZero() {
		return opts.From, nil
	}
	if err := s.checkToken(ctx, opts.After, head); err != nil {
		return 0, err
	}
	if opts.Backwards {
		return opts.After.Position - 1, nil
	}
	return opts.After.Position + 1, nil
}
