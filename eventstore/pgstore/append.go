package pgstore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Append implements eventstore.Appender.
func (s *Store) Append(ctx context.Context, a eventstore.StreamAppend, opts eventstore.AppendOptions) (eventstore.Appended, error) {
	results, err := s.AppendStreams(ctx, []eventstore.StreamAppend{a}, opts)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return results[0], nil
}

// AppendStreams implements eventstore.MultiStreamAppender. Slices of bytes in
// appends must not be changed until it returns; if it returns
// ErrOutcomeUnknown, not at all.
func (s *Store) AppendStreams(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
	if err := s.cfg.Limits.Validate(appends, opts); err != nil {
		return nil, err
	}
	return s.append(ctx, appends, opts.Receipt)
}

// append queues what was validated, or was made by the store itself.
func (s *Store) append(ctx context.Context, appends []eventstore.StreamAppend, receipt *eventstore.Receipt) (appended []eventstore.Appended, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r := newRequest(appends, receipt)
	begun := time.Now()
	defer func() { s.observeAppend(begun, r.events, err) }()
	if err := s.queue.put(r); err != nil {
		return nil, err
	}
	return r.wait(ctx)
}

func unique[T cmp.Ordered](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}
