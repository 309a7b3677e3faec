package bench

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/eventstore"
)

// fill appends so many events to each of so many streams, numbered from 1. The events of a stream
// do not lie side by side in the log but as far apart as they can.
func (s *scratch) fill(ctx context.Context, streams, events int) error {
	const appending = 64
	for round := range events {
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(appending)
		for n := 1; n <= streams && ctx.Err() == nil; n++ {
			group.Go(func() error {
				_, err := s.store.Append(ctx, eventstore.StreamAppend{
					Stream: streamName(int64(n)), Expected: expected(int64(round)), Events: newEvents(1),
				}, eventstore.AppendOptions{})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return fmt.Errorf("fill the log: %w", err)
		}
	}
	return nil
}
