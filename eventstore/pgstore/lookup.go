package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsession"
)

// maxLookups bounds how many receipts one statement looks for.
const maxLookups = 1000

// lookup is the question for one receipt.
type lookup struct {
	wanted *eventstore.Receipt
	done   chan lookedUp
}

type lookedUp struct {
	stored eventstore.StoredReceipt
	err    error
}

// findReceipt returns a receipt, or ErrReceiptNotFound.
func (s *Store) findReceipt(ctx context.Context, wanted *eventstore.Receipt) (eventstore.StoredReceipt, error) {
	q := &lookup{wanted: wanted, done: make(chan lookedUp, 1)}
	if err := s.lookups.ask(ctx, q); err != nil {
		return eventstore.StoredReceipt{}, err
	}
	select {
	case found := <-q.done:
		return found.stored, found.err
	case <-ctx.Done():
		return eventstore.StoredReceipt{}, fmt.Errorf("read receipt: %w", ctx.Err())
	}
}

func (s *Store) answerLookups(ctx context.Context, questions []*lookup) {
	ctx, cancel := context.WithTimeout(ctx, stallTimeout)
	defer cancel()
	f := newFacts()
	requests := make([]*request, len(questions))
	for i, q := range questions {
		requests[i] = &request{receipt: q.wanted}
	}
	err := pgsession.Retry(ctx, func() error {
		b := &pgx.Batch{}
		s.queueReceipts(b, f, requests)
		return s.cfg.Pool.SendBatch(ctx, b).Close()
	})
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
