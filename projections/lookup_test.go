package projections

import (
	"errors"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

// TestRowsAreLookedUpByTheKeyOfToday: also by who knows that of a generation before, and by its whole text.
func TestRowsAreLookedUpByTheKeyOfToday(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.arrives(b.start(b.runner(newAccounts(1))), "accounts", b.append("account-a", opened{}))
	l := NewLookup(b.pool(), b.db.Schema)
	look := func(key ...string) (string, error) {
		row, err := l.Row(t.Context(), "accounts", key, eventstore.Token{}, 0)
		return string(row), err
	}
	first, err := look("a")
	if err != nil || first == "" {
		t.Fatalf("of a there is %q, %v", first, err)
	}
	l.mu.Lock()
	known := l.tables["accounts"]
	known.Table, known.key = "another", []string{"one", "two"}
	l.tables["accounts"] = known
	l.mu.Unlock()
	if row, err := look("a"); err != nil || row != first {
		t.Errorf("in another generation there is %q, %v, want %q", row, err, first)
	}
	if row, err := look("a", "b"); !errors.Is(err, errKeySize) {
		t.Errorf("with two values for one column there is %q, %v", row, err)
	}
	l.mu.Lock()
	table := l.tables["accounts"].Table
	l.mu.Unlock()
	if _, err := b.pool().Exec(t.Context(), `DROP VIEW `+b.db.Schema+`.accounts; ALTER TABLE `+table+` ALTER COLUMN id TYPE char(1)`); err != nil {
		t.Fatal(err)
	}
	l = NewLookup(b.pool(), b.db.Schema)
	if row, err := look("abc"); err != nil || row != "" {
		t.Errorf("of abc there is %q, %v", row, err)
	}
	if row, err := look("a"); err != nil || row == "" {
		t.Errorf("of a there is %q, %v", row, err)
	}
}
