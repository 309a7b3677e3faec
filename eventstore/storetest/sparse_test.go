package storetest_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/storetest"
)

// The suite must pass stores whose positions have gaps and that can do no more
// than Store: the clauses assume nothing that is not declared.
func TestStoreWithGapsAndWithoutAbilities(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store { return sparse{memstore.New(memstore.Config{})} })
}

// A store with gaps may have abilities too.
func TestStoreWithGaps(t *testing.T) {
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		s := memstore.New(memstore.Config{})
		return managedSparse{sparse{s}, s}
	})
}

// stride is how far apart the positions of a sparse store are.
const stride = 1000

// sparse is a memstore without optional abilities, whose positions are 1000,
// 2000, 3000, …
type sparse struct{ inner *memstore.Store }

func (s sparse) Features() eventstore.Features { return eventstore.Features{} }

func (s sparse) Append(ctx context.Context, a eventstore.StreamAppend, opts eventstore.AppendOptions) (eventstore.Appended, error) {
	if opts.Receipt != nil {
		return eventstore.Appended{}, fmt.Errorf("append with a receipt: %w", eventstore.ErrNotSupported)
	}
	done, err := s.inner.Append(ctx, a, opts)
	return spreadResult(done), err
}

func (s sparse) Head(ctx context.Context) (eventstore.Token, error) {
	head, err := s.inner.Head(ctx)
	return spreadToken(head), err
}

func (s sparse) ReadStream(ctx context.Context, stream string, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return spread(s.inner.ReadStream(ctx, stream, opts), spreadEvent)
}

func (s sparse) ReadAll(ctx context.Context, opts eventstore.ReadOptions) iter.Seq2[eventstore.RecordedEvent, error] {
	return spread(s.inner.ReadAll(ctx, gather(opts)), spreadEvent)
}

func (s sparse) Subscribe(ctx context.Context, opts eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	return spread(s.inner.Subscribe(ctx, gather(opts)), func(b eventstore.Batch) eventstore.Batch {
		for i, e := range b.Events {
			b.Events[i] = spreadEvent(e)
		}
		b.Next, b.Head = (b.Next-1)*stride+1, spreadToken(b.Head)
		return b
	})
}

func spread[E any](inner iter.Seq2[E, error], change func(E) E) iter.Seq2[E, error] {
	return func(yield func(E, error) bool) {
		for e, err := range inner {
			var changed *eventstore.LogChangedError
			if errors.As(err, &changed) {
				changed.Token, changed.Head = spreadToken(changed.Token), spreadToken(changed.Head)
			}
			if !yield(change(e), err) {
				return
			}
		}
	}
}

func spreadEvent(e eventstore.RecordedEvent) eventstore.RecordedEvent {
	e.Position, e.AppendEnd = e.Position*stride, e.AppendEnd*stride
	return e
}

func spreadToken(t eventstore.Token) eventstore.Token {
	t.Position *= stride
	return t
}

func spreadResult(a eventstore.Appended) eventstore.Appended {
	a.Position, a.Token = a.Position*stride, spreadToken(a.Token)
	return a
}

// gather turns where to begin into the positions of the inner store.
func gather(opts eventstore.ReadOptions) eventstore.ReadOptions {
	opts.After.Position /= stride
	if opts.Positions != nil && opts.ValidateReadAll() == nil {
		all := []int64{}
		for _, p := range opts.Positions {
			if p%stride == 0 {
				all = append(all, p/stride)
			}
		}
		opts.Positions = all
	}
	switch {
	case opts.From == eventstore.End:
	case opts.Backwards:
		opts.From /= stride
	default:
		opts.From = (opts.From + stride - 1) / stride
	}
	return opts
}

// managedSparse can set metadata and delete.
type managedSparse struct {
	sparse
	eventstore.StreamManager
}

func (managedSparse) Features() eventstore.Features {
	return eventstore.Features{StreamManagement: true}
}

func (s managedSparse) DeleteStream(ctx context.Context, stream string, expected eventstore.ExpectedVersion) (eventstore.Appended, error) {
	done, err := s.StreamManager.DeleteStream(ctx, stream, expected)
	return spreadResult(done), err
}
