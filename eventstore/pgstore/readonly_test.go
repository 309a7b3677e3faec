package pgstore_test

import (
	"errors"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

// What a connection took over when the database was read-only it keeps for good.
func TestAppendsGoOnWhenTheDatabaseIsNoLongerReadOnly(t *testing.T) {
	t.Parallel()
	db := newLog(t)
	s := open(t, db)
	mustAppend(t, s, happened("readonly-1", 0))
	exec(t, db, `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	exec(t, db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND pid <> pg_backend_pid()`)
	eventually(t, "appends are refused", func() bool {
		_, err := s.Append(t.Context(), happened("readonly-1", 1), eventstore.AppendOptions{})
		return errors.Is(err, eventstore.ErrUnavailable)
	})
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SET TRANSACTION READ WRITE`); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$`); err != nil {
		t.Fatal(err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, s, happened("readonly-1", 2))
}
