package delivery

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/eventstore"
)

// countedReader counts subscriptions to the log from a position.
type countedReader struct {
	eventstore.Reader
	from int64
	n    atomic.Int64
}

func (r *countedReader) Subscribe(ctx context.Context, o eventstore.ReadOptions) iter.Seq2[eventstore.Batch, error] {
	if o.From == r.from {
		r.n.Add(1)
	}
	return r.Reader.Subscribe(ctx, o)
}

// wanting is a consumer that wants everything from a position on.
type wanting struct {
	mu   sync.Mutex
	from int64
	got  []int64
}

func (w *wanting) next() (int64, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.from, true
}

func (w *wanting) offer(events []offered, _, upto int64) int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range events {
		w.got = append(w.got, o.event.Position)
	}
	w.from = max(w.from, upto+1)
	return w.from - 1
}

// Those who read behind the end wait for a position that a restored log may not have for long. Who comes with a lower one, as
// a partition does that was taken after the restore, is served at once.
func TestWhoIsBehindDoesNotWaitForWhoIsBeyondTheEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for range 3 {
		b.append("order-1")
	}
	log := &countedReader{Reader: b.store, from: 100}
	f := newFeed(log, zerolog.Nop())
	var readers sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer readers.Wait()
	defer cancel()
	for i := range catchUps {
		readers.Go(func() { f.catchUp(ctx, int32(1+i)) })
	}
	selector, err := newSelector(&Definition{Key: Key{By: ByStream}})
	if err != nil {
		t.Fatal(err)
	}
	s := newSource(selector, 1)
	f.addSource(s)
	add := func(from int64) *wanting {
		w := &wanting{from: from}
		f.add(newQueue(s, 0, w))
		return w
	}
	add(log.from)
	b.eventually(func() error {
		if log.n.Load() < catchUps {
			f.stir()
			return fmt.Errorf("%d of %d readers are there", log.n.Load(), catchUps)
		}
		return nil
	})
	behind := add(1)
	b.eventually(func() error {
		behind.mu.Lock()
		defer behind.mu.Unlock()
		if len(behind.got) != 3 {
			return fmt.Errorf("positions %v were offered, want 1 to 3", behind.got)
		}
		return nil
	})
}
