package pgstore_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/eventstore/storetest"
	"github.com/57528e99/recount/internal/pgtest"
)

// A transaction pooler gives each transaction another session: nothing of the
// store may live in one. Statements cannot be prepared there.
func TestStoreBehindATransactionPooler(t *testing.T) {
	pooler := pgtest.NewPooler(t, pgtest.Refuses)
	storetest.Run(t, func(t *testing.T) eventstore.Store {
		db := newLog(t)
		pool := pooler.Pool(t, db)
		pooled := func(c *pgstore.Config) { c.Pool, c.NoListen, c.PollInterval = pool, true, 5*time.Millisecond }
		return &alternating{Store: open(t, db, pooled, patient), other: open(t, db, pooled, patient)}
	})
}

// The store must not rely on what only some ways to execute statements can do.
func TestStoreInEveryExecutionMode(t *testing.T) {
	t.Parallel()
	for _, mode := range pgtest.ExecModes() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			db := newLog(t)
			pool := changedPool(t, db, func(c *pgx.ConnConfig) { c.DefaultQueryExecMode = mode })
			appendsInEveryWay(t, pool, open(t, db, func(c *pgstore.Config) { c.Pool = pool }))
		})
	}
}

// changedPool returns a pool like that of db, with other settings.
func changedPool(t *testing.T, db *pgtest.DB, change func(*pgx.ConnConfig)) *pgxpool.Pool {
	t.Helper()
	return db.NewPool(t, func(c *pgxpool.Config) { change(c.ConnConfig) })
}

// appendsInEveryWay runs every statement of the store once, with a check of what
// comes of it.
func appendsInEveryWay(t *testing.T, pool *pgxpool.Pool, s *pgstore.Store) {
	t.Helper()
	a := happened("mode-1", 0)
	a.Events[0].ID = uuid.New()
	options := eventstore.AppendOptions{Receipt: &eventstore.Receipt{Scope: "mode", Key: "1", Fingerprint: []byte{0, 1}, Answer: []byte("\x00'\\")}}
	if _, err := s.Append(t.Context(), a, options); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), a, options); !errors.Is(err, eventstore.ErrReceiptKnown) {
		t.Errorf("append with a known receipt: %v", err)
	}
	if again := mustAppend(t, s, a); !again.Duplicate {
		t.Errorf("append of a known id = %+v, want a duplicate", again)
	}
	mustAppend(t, s, eventstore.StreamAppend{Stream: "mode-2", Expected: eventstore.Any, Events: []eventstore.Event{{Type: "Any", Data: []byte("\x00\xff'\\")}}})
	if _, err := s.DeleteStream(t.Context(), "mode-2", eventstore.Any); err != nil {
		t.Error(err)
	}
	if err := s.SetStreamMetadata(t.Context(), "mode-1", eventstore.StreamMetadata{MaxCount: 1}); err != nil {
		t.Error(err)
	}
	if info, err := s.StreamInfo(t.Context(), "mode-1"); err != nil || info.Metadata.MaxCount != 1 {
		t.Errorf("StreamInfo = %+v, %v", info, err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.AppendCommit(t.Context(), tx, []eventstore.StreamAppend{happened("mode-3", 3)}, eventstore.AppendOptions{}); err != nil {
		t.Error(err)
	}
	filtered := eventstore.ReadOptions{Filter: eventstore.Filter{Types: []string{"Any"}, Categories: []string{"mode"}, StreamPrefixes: []string{"mode-"}}}
	for e, err := range s.ReadAll(t.Context(), filtered) {
		if err != nil || string(e.Data) != "\x00\xff'\\" {
			t.Errorf("read %q, %v", e.Data, err)
		}
	}
	if got := numbers(t, s); len(got) != 5 {
		t.Errorf("log = %q, want five events", got)
	}
}
