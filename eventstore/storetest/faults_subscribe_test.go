package storetest

import (
	"context"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var subscribeFaults = []fault{
	{"begins behind the position asked for", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			opts.From++
			return b.Store.Subscribe(ctx, opts)
		}
	}, []string{"subscribes from any position and catches up"}},

	{"yields a batch twice", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			return func(yield func(eventstore.Batch, error) bool) {
				for batch, err := range b.Store.Subscribe(ctx, opts) {
					if !yield(batch, err) || err == nil && !yield(batch, err) {
						return
					}
				}
			}
		}
	}, []string{
		"subscribes from any position and catches up", "yields everything once and in order while others write",
		"behaves like a list of events, whatever is done to it",
	}},

	{"ignores what comes after it caught up", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			head, _ := b.Store.Head(ctx)
			return changed(b.Store.Subscribe(ctx, opts), func(batch *eventstore.Batch) bool { return batch.Next <= head.Position+1 })
		}
	}, []string{
		"goes on to what is appended later", "yields everything once and in order while others write",
		"yields no batch while there is nothing new", "waits for a position that the log has not reached",
	}},

	{"begins at the head when asked for more", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			head, _ := b.Store.Head(ctx)
			opts.From = min(opts.From, head.Position)
			return b.Store.Subscribe(ctx, opts)
		}
	}, []string{"waits for a position that the log has not reached"}},

	{"splits appends", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			return func(yield func(eventstore.Batch, error) bool) {
				for batch, err := range b.Store.Subscribe(ctx, opts) {
					if err != nil {
						yield(batch, err)
						return
					}
					for _, e := range batch.Events {
						if !yield(eventstore.Batch{Events: []eventstore.RecordedEvent{e}, Next: e.Position + 1, Head: batch.Head}, nil) {
							return
						}
					}
				}
			}
		}
	}, []string{
		"never splits an append between batches", "yields everything once and in order while others write",
		"appends to several streams as one append",
	}},

	{"ignores the page size", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) { o.PageSize = 0 })
	}, []string{"never splits an append between batches"}},

	{"ignores the bytes of a page", func(b *broken) {
		b.onOptions(func(o *eventstore.ReadOptions) { o.PageBytes = 0 })
	}, []string{"bounds batches by bytes"}},

	{"goes on from the last event, not behind it", func(b *broken) {
		b.onBatch(func(batch *eventstore.Batch) bool { batch.Next--; return true })
	}, []string{"goes on from the next position of a batch without gap or double", "subscribes from any position and catches up"}},

	{"skips an event", func(b *broken) {
		b.onBatch(func(batch *eventstore.Batch) bool {
			for i, e := range batch.Events {
				if e.Position == 6 {
					batch.Events = append(batch.Events[:i], batch.Events[i+1:]...)
					break
				}
			}
			return true
		})
	}, []string{
		"subscribes from any position and catches up", "goes on from the next position of a batch without gap or double",
		"yields everything once and in order while others write", "goes on to what is appended later",
	}},

	{"turns neighbours around", func(b *broken) {
		b.onBatch(func(batch *eventstore.Batch) bool {
			if n := len(batch.Events); n > 1 {
				batch.Events[n-1], batch.Events[n-2] = batch.Events[n-2], batch.Events[n-1]
			}
			return true
		})
	}, []string{"yields everything once and in order while others write", "subscribes from any position and catches up"}},

	{"keeps batches without events to itself", func(b *broken) {
		b.onBatch(func(batch *eventstore.Batch) bool { return len(batch.Events) > 0 })
	}, []string{"tells how far a filtered subscription has come"}},

	{"ignores the filter of a subscription", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			opts.Filter = eventstore.Filter{}
			return b.Store.Subscribe(ctx, opts)
		}
	}, []string{"subscribes to what a filter picks", "tells how far a filtered subscription has come"}},

	{"says again and again that there is nothing", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			return func(yield func(eventstore.Batch, error) bool) {
				for batch, err := range b.Store.Subscribe(ctx, opts) {
					if !yield(batch, err) || err == nil && !yield(eventstore.Batch{Next: batch.Next, Head: batch.Head}, nil) {
						return
					}
				}
			}
		}
	}, []string{"yields no batch while there is nothing new"}},

	{"outlives the context of a subscription", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			return func(yield func(eventstore.Batch, error) bool) {
				long, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
				defer cancel()
				b.Store.Subscribe(long, opts)(yield)
			}
		}
	}, []string{"ends a subscription with the error of its context"}},

	{"ends a subscription in silence", func(b *broken) {
		b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
			return func(yield func(eventstore.Batch, error) bool) {
				for batch, err := range b.Store.Subscribe(ctx, opts) {
					if err != nil || !yield(batch, nil) {
						return
					}
				}
			}
		}
	}, []string{
		"ends a subscription with the error of its context", "ends subscriptions and refuses calls with ErrClosed after Close",
		"refuses a token of another log", "refuses read options that make no sense",
	}},

	{"shows an append before it is whole", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			return changed(b.Store.ReadAll(ctx, opts), func(e *eventstore.RecordedEvent) bool { return e.Position != e.AppendEnd })
		}
	}, []string{"shows appends whole to readers while others write", "shows an append to readers when it returns"}},

	{"shows positions out of order", func(b *broken) {
		b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
			head, _ := b.Store.Head(ctx)
			return changed(b.Store.ReadAll(ctx, opts), func(e *eventstore.RecordedEvent) bool { return e.Position != head.Position-1 })
		}
	}, []string{"lets what was read once stand while others write"}},
}
