package pgstore

import (
	"cmp"
	"context"
	"fmt"
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
	if err := s.validate(appends, opts); err != nil {
		return nil, err
	}
	return s.append(ctx, appends, opts.Receipt)
}

// validate checks an append: also that its receipt is kept for as long as it is to count.
func (s *Store) validate(appends []eventstore.StreamAppend, opts eventstore.AppendOptions) error {
	if err := s.cfg.Limits.Validate(appends, opts); err != nil {
		return err
	}
	if r, kept := opts.Receipt, s.cfg.ReceiptTTL; r != nil && kept > 0 && r.Window > kept {
		return &eventstore.InvalidError{Field: "receipt.window", Reason: fmt.Sprintf("must be at most %s, for as long as receipts are kept here: it is %s", kept, r.Window)}
	}
	return nil
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
