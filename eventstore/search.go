package eventstore

import (
	"context"
	"time"
)

// FirstSince returns the position of the first event of a log that was recorded at a time or later, of those up to the head;
// the one behind the head, if there is none. Times never run backwards along positions, so it reads one event for each
// doubling of the log.
func FirstSince(ctx context.Context, log Reader, t time.Time, head int64) (int64, error) {
	low, high := int64(1), head+1 // the first is in [low, high]
	for low < high {
		middle := low + (high-low)/2
		isEarlier := false
		for e, err := range log.ReadAll(ctx, ReadOptions{From: middle, Limit: 1}) {
			if err != nil {
				return 0, err
			}
			if isEarlier = e.RecordedAt.Before(t); isEarlier {
				low = e.Position + 1
			}
		}
		if !isEarlier {
			high = middle
		}
	}
	return low, nil
}
