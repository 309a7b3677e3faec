package pgstore_test

import (
	"context"
	"sync/atomic"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// alternating appends through two stores on one log in turn, and reads through
// the first.
type alternating struct {
	*pgstore.Store
	other *pgstore.Store
	turn  atomic.Int64
}

func (a *alternating) next() *pgstore.Store {
	if a.turn.Add(1)%2 == 0 {
		return a.Store
	}
	return a.other
}

func (a *alternating) Append(ctx context.Context, s eventstore.StreamAppend, o eventstore.AppendOptions) (eventstore.Appended, error) {
	return a.next().Append(ctx, s, o)
}

func (a *alternating) AppendStreams(ctx context.Context, s []eventstore.StreamAppend, o eventstore.AppendOptions) ([]eventstore.Appended, error) {
	return a.next().AppendStreams(ctx, s, o)
}

func (a *alternating) SetStreamMetadata(ctx context.Context, stream string, m eventstore.StreamMetadata) error {
	return a.next().SetStreamMetadata(ctx, stream, m)
}

func (a *alternating) DeleteStream(ctx context.Context, stream string, e eventstore.ExpectedVersion) (eventstore.Appended, error) {
	return a.next().DeleteStream(ctx, stream, e)
}

func (a *alternating) TombstoneStream(ctx context.Context, stream string, e eventstore.ExpectedVersion) (eventstore.Appended, error) {
	return a.next().TombstoneStream(ctx, stream, e)
}
