package storetest

import (
	"context"

	"github.com/57528e99/recount/eventstore"
)

var featureClauses = []clause{
	{"implements what it declares, and refuses what it does not", always, implementsFeatures},
	{"numbers positions 1, 2, 3 without gaps", gapless, numbersWithoutGaps},
	{"ends subscriptions and refuses calls with ErrClosed after Close", closing, refusesAfterClose},
}

// A type assertion is all that a caller does after it looked at Features.
func implementsFeatures(f *fixture) {
	declared := f.Features()
	for _, c := range []struct {
		name       string
		declared   bool
		implements bool
	}{
		{"MultiStreamAppender", declared.MultiStreamAppend, implements[eventstore.MultiStreamAppender](f.Store)},
		{"ReceiptStore", declared.Receipts, implements[eventstore.ReceiptStore](f.Store)},
		{"StreamManager", declared.StreamManagement, implements[eventstore.StreamManager](f.Store)},
		{"ContentLister", declared.Contents, implements[eventstore.ContentLister](f.Store)},
	} {
		if c.declared && !c.implements {
			f.Errorf("%T declares %s in Features and does not implement it", f.Store, c.name)
		}
	}
	if !declared.Receipts {
		_, err := f.Append(f.Context(), streamAppend("order-1", eventstore.Any, event("a")),
			eventstore.AppendOptions{Receipt: receipt("k")})
		f.wantErr("Append with a receipt to a store without receipts", err, eventstore.ErrNotSupported)
	}
}

func implements[I any](s eventstore.Store) bool {
	_, ok := s.(I)
	return ok
}

// Readers assert it, so a refused or repeated append must not use a position up.
func numbersWithoutGaps(f *fixture) {
	first := event("a")
	f.append("order-1", eventstore.NoStream, first)
	f.tryAppend("order-1", eventstore.NoStream, event("refused"))
	f.append("order-1", eventstore.Any, first)
	f.append("order-2", eventstore.Any, events("b", "c")...)
	for i, e := range f.all(eventstore.ReadOptions{}) {
		if e.Position != int64(i)+1 {
			f.Errorf("ReadAll event %d has position %d, want %d", i, e.Position, i+1)
		}
	}
}

// A consumer that hangs on a closed store would keep its process from ending.
func refusesAfterClose(f *fixture) {
	f.append("order-1", eventstore.Any, event("a"))
	ended := error(nil)
	for _, err := range f.subscribe(eventstore.ReadOptions{}) {
		if err != nil {
			ended = err
			continue
		}
		// A second call must do no harm: defers and clean-ups often both close.
		for range 2 {
			if err := f.Store.(closer).Close(f.Context()); err != nil {
				f.Fatalf("Close: %v", err)
			}
		}
	}
	f.wantErr("a subscription of a closed store", ended, eventstore.ErrClosed)
	_, err := f.tryAppend("order-1", eventstore.Any, event("b"))
	f.wantErr("Append to a closed store", err, eventstore.ErrClosed)
	ctx, cancel := context.WithTimeout(f.Context(), patience)
	defer cancel()
	_, err = collect(f.Subscribe(ctx, eventstore.ReadOptions{}))
	f.wantErr("Subscribe to a closed store", err, eventstore.ErrClosed)
}
