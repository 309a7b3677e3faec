package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// Receipt implements eventstore.ReceiptStore.
func (s *Store) Receipt(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
	if err := s.usable(); err != nil {
		return eventstore.StoredReceipt{}, err
	}
	if !isStorable(scope) || !isStorable(key) {
		return eventstore.StoredReceipt{}, eventstore.ErrReceiptNotFound
	}
	f := newFacts()
	wanted := &eventstore.Receipt{Scope: scope, Key: key}
	b := &pgx.Batch{}
	s.queueReceipts(b, f, []*request{{receipt: wanted}})
	if err := s.cfg.Pool.SendBatch(ctx, b).Close(); err != nil {
		return eventstore.StoredReceipt{}, fmt.Errorf("read receipt: %w", translate(err))
	}
	stored, ok := f.receipts[keyOf(wanted)]
	if !ok {
		return eventstore.StoredReceipt{}, eventstore.ErrReceiptNotFound
	}
	return stored, nil
}

// Several processes purge at once without waiting for each other.
const deleteReceipts = `
DELETE FROM recount.receipts WHERE (scope, key) IN (
    SELECT scope, key FROM recount.receipts WHERE stored_at < $1
    ORDER BY stored_at LIMIT $2 FOR UPDATE SKIP LOCKED)`

// PurgeReceipts implements eventstore.ReceiptStore.
func (s *Store) PurgeReceipts(ctx context.Context, before time.Time) (int64, error) {
	if err := s.usable(); err != nil {
		return 0, err
	}
	total := int64(0)
	for {
		tag, err := s.cfg.Pool.Exec(ctx, s.sql(deleteReceipts), before, purgeBatch)
		if err != nil {
			return total, fmt.Errorf("purge receipts: %w", translate(err))
		}
		total += tag.RowsAffected()
		if tag.RowsAffected() < purgeBatch {
			return total, nil
		}
	}
}
