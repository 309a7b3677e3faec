package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// Receipt implements eventstore.ReceiptStore.
func (s *Store) Receipt(ctx context.Context, scope, key string) (eventstore.StoredReceipt, error) {
	if err := s.usable(); err != nil {
		return eventstore.StoredReceipt{}, err
	}
	if !isStorable(scope) || !isStorable(key) {
		return eventstore.StoredReceipt{}, eventstore.ErrReceiptNotFound
	}
	return s.findReceipt(ctx, &eventstore.Receipt{Scope: scope, Key: key})
}

// Several processes purge at once without waiting for each other.
const deleteReceipts = `
DELETE FROM {schema}.receipts WHERE (scope, key) IN (
    SELECT scope, key FROM {schema}.receipts WHERE stored_at < $1
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
		s.receiptsPurged.Add(tag.RowsAffected())
		failpoint.Hit(failpoint.ReceiptPurge)
		if tag.RowsAffected() < purgeBatch {
			return total, nil
		}
	}
}

// storedAppend is how a receipt keeps an eventstore.Appended.
type storedAppend struct {
	Stream   string `json:"stream"`
	Version  int64  `json:"version"`
	Position int64  `json:"position"`
}

func formatResult(appended []eventstore.Appended) []byte {
	list := make([]storedAppend, len(appended))
	for i, a := range appended {
		list[i] = storedAppend{a.Stream, a.Version, a.Position}
	}
	// Strings and integers always marshal.
	b, _ := json.Marshal(list)
	return b
}

// parseResult puts the log's present incarnation into the tokens: a position
// that is still in the log belongs to every later incarnation too.
func (s *Store) parseResult(result []byte) ([]eventstore.Appended, error) {
	var list []storedAppend
	if err := json.Unmarshal(result, &list); err != nil {
		return nil, fmt.Errorf("read receipt: %w", err)
	}
	appended := make([]eventstore.Appended, len(list))
	for i, a := range list {
		appended[i] = eventstore.Appended{Stream: a.Stream, Version: a.Version, Position: a.Position}
	}
	setTokens(appended, s.incarnation())
	return appended, nil
}
