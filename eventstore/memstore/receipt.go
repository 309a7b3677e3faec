package memstore

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
)

type receiptKey struct{ scope, key string }

// Receipt implements eventstore.ReceiptStore.
func (s *Store) Receipt(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return eventstore.StoredReceipt{}, err
	}
	defer unlock()
	r, ok := s.receipts[receiptKey{scope, key}]
	if !ok {
		return eventstore.StoredReceipt{}, eventstore.ErrReceiptNotFound
	}
	return clonedReceipt(r), nil
}

// PurgeReceipts implements eventstore.ReceiptStore.
func (s *Store) PurgeReceipts(ctx context.Context, before time.Time) (int64, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	purged := int64(0)
	for key, r := range s.receipts {
		if r.StoredAt.Before(before) {
			delete(s.receipts, key)
			purged++
		}
	}
	return purged, nil
}

func (s *Store) checkReceipt(r *eventstore.Receipt) error {
	if r == nil {
		return nil
	}
	known, ok := s.receipts[receiptKey{r.Scope, r.Key}]
	switch {
	case !ok, r.Window > 0 && s.recordedAt().Sub(known.StoredAt) >= r.Window:
		return nil
	case bytes.Equal(known.Fingerprint, r.Fingerprint):
		return &eventstore.ReceiptKnownError{Stored: clonedReceipt(known)}
	default:
		return &eventstore.ReceiptMismatchError{Scope: r.Scope, Key: r.Key}
	}
}

func (s *Store) keepReceipt(r *eventstore.Receipt, results []eventstore.Appended, at time.Time) {
	if r != nil {
		kept := *r
		kept.Window = 0
		s.receipts[receiptKey{r.Scope, r.Key}] = clonedReceipt(eventstore.StoredReceipt{Receipt: kept, Appended: results, StoredAt: at})
	}
}

func clonedReceipt(r eventstore.StoredReceipt) eventstore.StoredReceipt {
	r.Fingerprint, r.Answer = slices.Clone(r.Fingerprint), slices.Clone(r.Answer)
	r.Appended = slices.Clone(r.Appended)
	return r
}
