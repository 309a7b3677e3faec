package pgstore

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// maxLookups bounds how many receipts one statement looks for.
const maxLookups = 1000

// lookups looks receipts up for all who ask at the same time in one statement,
// as appends are written: every command with a key begins with such a question,
// and a round trip for each took half of the database's time.
type lookups struct {
	store *Store
	// group has the goroutine that works, if there are questions.
	group sync.WaitGroup

	mu      sync.Mutex
	waiting []*lookup
	working bool
	closed  bool
}

// lookup is the question for one receipt.
type lookup struct {
	wanted *eventstore.Receipt
	done   chan lookedUp
}

type lookedUp struct {
	stored eventstore.StoredReceipt
	err    error
}

// find returns a receipt, or ErrReceiptNotFound.
func (l *lookups) find(ctx context.Context, wanted *eventstore.Receipt) (eventstore.StoredReceipt, error) {
	q := &lookup{wanted: wanted, done: make(chan lookedUp, 1)}
	if err := l.ask(q); err != nil {
		return eventstore.StoredReceipt{}, err
	}
	select {
	case found := <-q.done:
		return found.stored, found.err
	case <-ctx.Done():
		return eventstore.StoredReceipt{}, fmt.Errorf("read receipt: %w", ctx.Err())
	}
}

func (l *lookups) ask(q *lookup) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return eventstore.ErrClosed
	}
	l.waiting = append(l.waiting, q)
	if !l.working {
		l.working = true
		l.group.Go(l.work)
	}
	return nil
}

// close takes no more questions and waits until those asked are answered.
func (l *lookups) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.group.Wait()
}

// work answers questions until there are none.
func (l *lookups) work() {
	for {
		l.mu.Lock()
		n := min(len(l.waiting), maxLookups)
		questions := l.waiting[:n:n]
		l.waiting = l.waiting[n:]
		l.working = n > 0
		l.mu.Unlock()
		if n == 0 {
			return
		}
		l.answer(questions)
	}
}

func (l *lookups) answer(questions []*lookup) {
	// Nobody's context: one who asks must not end the answers for the others.
	ctx, cancel := context.WithTimeout(context.Background(), stallTimeout)
	defer cancel()
	f := newFacts()
	requests := make([]*request, len(questions))
	for i, q := range questions {
		requests[i] = &request{receipt: q.wanted}
	}
	b := &pgx.Batch{}
	l.store.queueReceipts(b, f, requests)
	err := l.store.cfg.Pool.SendBatch(ctx, b).Close()
	if err != nil {
		err = fmt.Errorf("read receipt: %w", translate(err))
	}
	for _, q := range questions {
		found := lookedUp{err: err}
		if stored, ok := f.receipts[keyOf(q.wanted)]; ok {
			found.stored = stored
		} else if err == nil {
			found.err = eventstore.ErrReceiptNotFound
		}
		q.done <- found
	}
}
