package storetest

import (
	"context"
	"iter"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

type (
	seq         = iter.Seq2[eventstore.RecordedEvent, error]
	batches     = iter.Seq2[eventstore.Batch, error]
	appendFunc  = func(context.Context, []eventstore.StreamAppend, eventstore.AppendOptions) ([]eventstore.Appended, error)
	removeFunc  = func(context.Context, string, eventstore.ExpectedVersion) (eventstore.Appended, error)
	receiptFunc = func(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error)
)

// broken is a memstore whose methods a fault can replace one by one.
type broken struct {
	*memstore.Store
	append       appendFunc
	readStream   func(context.Context, string, eventstore.ReadOptions) seq
	readAll      func(context.Context, eventstore.ReadOptions) seq
	subscribe    func(context.Context, eventstore.ReadOptions) batches
	head         func(context.Context) (eventstore.Token, error)
	receipt      receiptFunc
	purge        func(context.Context, time.Time) (int64, error)
	setMetadata  func(context.Context, string, eventstore.StreamMetadata) error
	delete, tomb removeFunc
	close        func(context.Context) error
	features     func() eventstore.Features
	contents     func(context.Context) ([]eventstore.Content, error)
}

func newBroken() *broken {
	s := memstore.New(memstore.Config{})
	return &broken{
		Store: s, append: s.AppendStreams, readStream: s.ReadStream, readAll: s.ReadAll, subscribe: s.Subscribe,
		head: s.Head, receipt: s.Receipt, purge: s.PurgeReceipts, setMetadata: s.SetStreamMetadata,
		delete: s.DeleteStream, tomb: s.TombstoneStream, close: s.Close, features: s.Features, contents: s.Contents,
	}
}

func (b *broken) Append(ctx context.Context, a eventstore.StreamAppend, opts eventstore.AppendOptions) (eventstore.Appended, error) {
	done, err := b.append(ctx, []eventstore.StreamAppend{a}, opts)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return done[0], nil
}

func (b *broken) AppendStreams(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
	return b.append(ctx, appends, opts)
}

func (b *broken) ReadStream(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
	return b.readStream(ctx, stream, opts)
}

func (b *broken) ReadAll(ctx context.Context, opts eventstore.ReadOptions) seq {
	return b.readAll(ctx, opts)
}

func (b *broken) Subscribe(ctx context.Context, opts eventstore.ReadOptions) batches {
	return b.subscribe(ctx, opts)
}

func (b *broken) Head(ctx context.Context) (eventstore.Token, error) { return b.head(ctx) }

func (b *broken) Receipt(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
	return b.receipt(ctx, scope, key)
}

func (b *broken) PurgeReceipts(ctx context.Context, before time.Time) (int64, error) {
	return b.purge(ctx, before)
}

func (b *broken) SetStreamMetadata(ctx context.Context, stream string, m eventstore.StreamMetadata) error {
	return b.setMetadata(ctx, stream, m)
}

func (b *broken) DeleteStream(ctx context.Context, stream string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	return b.delete(ctx, stream, expected)
}

func (b *broken) TombstoneStream(ctx context.Context, stream string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	return b.tomb(ctx, stream, expected)
}

func (b *broken) Features() eventstore.Features { return b.features() }

func (b *broken) Contents(ctx context.Context) ([]eventstore.Content, error) { return b.contents(ctx) }

func (b *broken) Close(ctx context.Context) error { return b.close(ctx) }

// onAppend replaces one append by what change makes of it.
func (b *broken) onAppend(change func(*eventstore.StreamAppend)) {
	b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
		changed := make([]eventstore.StreamAppend, len(appends))
		for i, a := range appends {
			a.Events = append([]eventstore.Event(nil), a.Events...)
			change(&a)
			changed[i] = a
		}
		return b.Store.AppendStreams(ctx, changed, opts)
	}
}

// onEvent replaces one event that is to be appended.
func (b *broken) onEvent(change func(*eventstore.Event)) {
	b.onAppend(func(a *eventstore.StreamAppend) {
		for i := range a.Events {
			change(&a.Events[i])
		}
	})
}

// onResult replaces the outcome of an append.
func (b *broken) onResult(change func(context.Context, []eventstore.StreamAppend, []eventstore.Appended, error) ([]eventstore.Appended, error)) {
	b.append = func(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
		done, err := b.Store.AppendStreams(ctx, appends, opts)
		return change(ctx, appends, done, err)
	}
}

// onRead passes what ReadStream and ReadAll yield through change, which drops
// an event by returning false.
func (b *broken) onRead(change func(*eventstore.RecordedEvent) bool) {
	b.readStream = func(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
		return changed(b.Store.ReadStream(ctx, stream, opts), change)
	}
	b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
		return changed(b.Store.ReadAll(ctx, opts), change)
	}
}

// onBatch does the same with the batches of Subscribe.
func (b *broken) onBatch(change func(*eventstore.Batch) bool) {
	b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
		return changed(b.Store.Subscribe(ctx, opts), change)
	}
}

func changed[E any](inner iter.Seq2[E, error], change func(*E) bool) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for e, err := range inner {
			if (err != nil || change(&e)) && !yield(e, err) {
				return
			}
		}
	}
}

// onOptions replaces the options of reads.
func (b *broken) onOptions(change func(*eventstore.ReadOptions)) {
	b.readStream = func(ctx context.Context, stream string, opts eventstore.ReadOptions) seq {
		change(&opts)
		return b.Store.ReadStream(ctx, stream, opts)
	}
	b.readAll = func(ctx context.Context, opts eventstore.ReadOptions) seq {
		change(&opts)
		return b.Store.ReadAll(ctx, opts)
	}
	b.subscribe = func(ctx context.Context, opts eventstore.ReadOptions) batches {
		change(&opts)
		return b.Store.Subscribe(ctx, opts)
	}
}
