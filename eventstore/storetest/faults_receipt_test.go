package storetest

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore"
)

var receiptFaults = []fault{
	{"forgets receipts", func(b *broken) {
		b.onReceipt(func(*eventstore.Receipt) *eventstore.Receipt { return nil })
	}, []string{"keeps a receipt with the append that it came with", "answers a known receipt and writes nothing"}},

	{"keeps no answers", func(b *broken) {
		b.onReceipt(func(r *eventstore.Receipt) *eventstore.Receipt { r.Answer = nil; return r })
	}, []string{
		"keeps a receipt with the append that it came with", "answers a known receipt and writes nothing",
		"tells receipts apart by scope and key", "refuses invalid receipts and takes those at the bounds",
	}},

	{"writes again when the receipt is known", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			done, err := b.Store.AppendStreams(ctx, appends, opts)
			if errors.Is(err, eventstore.ErrReceiptKnown) {
				return b.Store.AppendStreams(ctx, appends, eventstore.AppendOptions{})
			}
			return done, err
		}
	}, []string{
		"answers a known receipt and writes nothing", "stores one append of many that carry one receipt", "keeps one receipt for several streams",
		"appends once what is sent again within a window",
	}},

	{"ignores fingerprints", func(b *broken) {
		b.onReceipt(func(r *eventstore.Receipt) *eventstore.Receipt { r.Fingerprint = nil; return r })
	}, []string{"refuses a receipt that was used for another request", "keeps a receipt with the append that it came with"}},

	{"keeps the receipts of refused appends", func(b *broken) {
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			done, err := b.Store.AppendStreams(ctx, appends, opts)
			if errors.Is(err, eventstore.ErrConflict) && opts.Receipt != nil {
				_, _ = b.Store.AppendStreams(ctx, []eventstore.StreamAppend{{Stream: "refused-1", Expected: eventstore.Any}}, opts)
			}
			return done, err
		}
	}, []string{"keeps no receipt of a refused append", "takes an append of no events that carries a receipt"}},

	{"gives no version for an append of no events", func(b *broken) {
		b.onResult(func(_ context.Context, appends []eventstore.StreamAppend, done []eventstore.Appended, err error) ([]eventstore.Appended, error) {
			for i := range done {
				if len(appends[i].Events) == 0 {
					done[i].Version = -1
				}
			}
			return done, err
		})
	}, []string{"takes an append of no events that carries a receipt"}},

	{"writes no receipt where it writes no events", func(b *broken) {
		retried := make(map[string]bool)
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			done, err := b.Store.AppendStreams(ctx, appends, opts)
			if err == nil && done[0].Duplicate && opts.Receipt != nil {
				retried[opts.Receipt.Key] = true
			}
			return done, err
		}
		b.receipt = func(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
			if retried[key] {
				return eventstore.StoredReceipt{}, eventstore.ErrReceiptNotFound
			}
			return b.Store.Receipt(ctx, scope, key)
		}
	}, []string{"keeps the receipt of a retry by ids"}},

	{"has receipts count for ever", func(b *broken) {
		b.onReceipt(func(r *eventstore.Receipt) *eventstore.Receipt { r.Window = 0; return r })
	}, []string{"counts a receipt for as long as the next one says"}},

	{"joins scope and key", func(b *broken) {
		b.onReceipt(func(r *eventstore.Receipt) *eventstore.Receipt {
			r.Scope, r.Key = "all", r.Scope+":"+r.Key
			return r
		})
	}, []string{"tells receipts apart by scope and key"}},

	{"purges what was stored at the time itself", func(b *broken) {
		b.purge = func(ctx context.Context, before time.Time) (int64, error) {
			return b.Store.PurgeReceipts(ctx, before.Add(time.Microsecond))
		}
	}, []string{"purges the receipts stored before a time"}},

	{"does not count what it purges", func(b *broken) {
		b.purge = func(ctx context.Context, before time.Time) (int64, error) {
			_, err := b.Store.PurgeReceipts(ctx, before)
			return 0, err
		}
	}, []string{"purges the receipts stored before a time"}},

	{"cuts keys that are too long", func(b *broken) {
		b.onReceipt(func(r *eventstore.Receipt) *eventstore.Receipt { r.Key = r.Key[:min(len(r.Key), 255)]; return r })
	}, []string{"refuses invalid receipts and takes those at the bounds"}},

	{"looks receipts up before it has the lock", func(b *broken) {
		var mu sync.Mutex
		known := make(map[string]bool)
		b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
			if opts.Receipt == nil {
				return b.Store.AppendStreams(ctx, appends, opts)
			}
			mu.Lock()
			late := known[opts.Receipt.Key]
			mu.Unlock()
			<-time.After(time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			if known[opts.Receipt.Key] && !late {
				opts.Receipt = nil
			} else {
				known[opts.Receipt.Key] = true
			}
			return b.Store.AppendStreams(ctx, appends, opts)
		}
	}, []string{"stores one append of many that carry one receipt"}},

	{"keeps the result of the first stream only", func(b *broken) {
		b.receipt = func(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
			r, err := b.Store.Receipt(ctx, scope, key)
			r.Appended = r.Appended[:min(len(r.Appended), 1)]
			return r, err
		}
	}, []string{"keeps one receipt for several streams"}},
}

// onReceipt replaces the receipt that an append carries.
func (b *broken) onReceipt(change func(*eventstore.Receipt) *eventstore.Receipt) {
	b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
		if opts.Receipt != nil {
			r := *opts.Receipt
			opts.Receipt = change(&r)
		}
		return b.Store.AppendStreams(ctx, appends, opts)
	}
}
