package bench

import (
	"context"
	"sync"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
)

// elsewhere reads a log as another process does: by a store of its own, which nobody in this
// process tells what was appended.
type elsewhere struct {
	store   *pgstore.Store
	end     context.CancelFunc
	reading sync.WaitGroup

	mu sync.Mutex
	at int64
	// err is why it reads no more.
	err error
	// moved is closed, and replaced, when one of the above changes.
	moved chan struct{}
}

func (s *scratch) readElsewhere(ctx context.Context) (reader, error) {
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: s.pool, Schema: s.schema})
	if err != nil {
		return nil, err
	}
	reading, end := context.WithCancel(context.WithoutCancel(ctx))
	r := &elsewhere{store: store, end: end, moved: make(chan struct{})}
	r.reading.Go(func() {
		for batch, err := range store.Subscribe(reading, eventstore.ReadOptions{}) {
			r.set(batch.Next-1, err)
		}
	})
	return r, nil
}

func (r *elsewhere) set(at int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at, r.err = at, err
	close(r.moved)
	r.moved = make(chan struct{})
}

// reach waits until it has read the log up to a place.
func (r *elsewhere) reach(ctx context.Context, want eventstore.Token) error {
	for {
		r.mu.Lock()
		at, err, moved := r.at, r.err, r.moved
		r.mu.Unlock()
		if err != nil || at >= want.Position {
			return err
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *elsewhere) stop(ctx context.Context) error {
	r.end()
	r.reading.Wait()
	return r.store.Close(context.WithoutCancel(ctx))
}
