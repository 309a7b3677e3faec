package queries

import (
	"context"
	"time"
)

type waitKey struct{}

// WithWait says how long reads with the context wait for their token, instead of as long as the
// context lasts. The rest of the time is for the read itself: a slow query whose rows are there at
// once needs no long wait. 0: they do not wait at all.
func WithWait(ctx context.Context, wait time.Duration) context.Context {
	return context.WithValue(ctx, waitKey{}, wait)
}

// waiting returns the context to wait with.
func (r *Reader) waiting(ctx context.Context) (context.Context, context.CancelFunc) {
	if wait, ok := ctx.Value(waitKey{}).(time.Duration); ok {
		return context.WithTimeout(ctx, wait)
	}
	if _, ok := ctx.Deadline(); ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, r.config.Wait)
}
