package projections

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/internal/pgerr"
)

// indexed returns newAccounts(1) with other indexes.
func indexed(columns ...string) *Fold[string, account] {
	t := newAccounts(1).table
	t.Indexes = nil
	for _, c := range columns {
		t.Indexes = append(t.Indexes, Index{Columns: strings.Split(c, ",")})
	}
	f := NewFold[string, account](t)
	f.handlers = newAccounts(1).handlers
	return f
}

// has waits until a table has just the indexes on some columns, whole.
func (b *bench) has(table string, columns ...string) {
	b.Helper()
	slices.Sort(columns)
	b.eventually(func() error {
		there, err := indexesOf(b.Context(), b.pool(), tableName{b.db.Schema, table})
		if err != nil {
			return err
		}
		var got []string
		for _, index := range there {
			got = append(got, strings.Join(index.columns, ","))
			if !index.valid {
				got = append(got, "of which one is not valid")
			}
		}
		if slices.Sort(got); !slices.Equal(got, columns) {
			return fmt.Errorf("the indexes are %q, want %q", got, columns)
		}
		return nil
	})
}

// TestAnIndexNeedsNoNewVersion: rows that a program made which counted indexes as a part of the
// definition, with what a CREATE INDEX CONCURRENTLY left behind that was killed, get others while
// several processes run.
func TestAnIndexNeedsNoNewVersion(t *testing.T) {
	t.Parallel()
	b, f := newBench(t), newAccounts(1)
	r, _ := b.startFilled(f, 50)
	b.has("accounts_g1", "owner,opened_at,id", "balance,id")
	b.stop(r)
	b.exec(`UPDATE recount.projection_generations SET row_definition = NULL`)
	for i, index := range r.workers[0].runs.(*foldProjector[string, account]).layout.indexColumns() {
		name := strings.Fields(createIndex("INDEX", tableName{"recount", "accounts_g1"}, index))[2]
		b.exec(fmt.Sprintf(`ALTER INDEX recount.%s RENAME TO accounts_g1_i%d`, name, i+1))
	}
	b.exec(`CREATE INDEX by_hand ON recount.accounts_g1 (touched); CREATE INDEX ON recount.accounts_g1 (id)`)
	if _, err := b.pool().Exec(t.Context(), `CREATE UNIQUE INDEX CONCURRENTLY accounts_g1_i3 ON recount.accounts_g1 (notes)`); err == nil {
		t.Fatal("an index that should have failed did not")
	}
	changed := indexed("owner,opened_at", "touched,id", "touched,balance")
	for range 3 {
		b.start(b.runner(changed))
	}
	b.has("accounts_g1", "owner,opened_at,id", "touched,id", "touched,balance,id")
	// What was recorded is that the rows are the same, whatever their indexes.
	again := b.start(b.runner(indexed()))
	b.stop(again)
	b.start(b.runner(f))
	b.append("account-1", deposited{Amount: 1})
	b.finish("accounts")
	if err := b.compare(f); err != nil {
		t.Error(err)
	}
	var kept int
	if err := b.pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_indexes WHERE schemaname = 'recount' AND indexname IN ('by_hand', 'accounts_g1_id_idx')`).Scan(&kept); err != nil || kept != 2 {
		t.Errorf("%d indexes that somebody else made are there, %v; want both", kept, err)
	}
}

// TestIndexesAreMadeOnce although several processes believe that they are to do it.
func TestIndexesAreMadeOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r, _ := b.startFilled(indexed(), 50)
	b.stop(r)
	prepared, errs := indexed("balance", "touched").prepare(b.codec)
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	pool, table := b.newPool(), tableName{b.db.Schema, "accounts_g1"}
	var all errgroup.Group
	for range 4 {
		all.Go(func() error {
			for {
				done, err := prepared.(bulk).alignIndexes(t.Context(), pool, table)
				if done || err != nil && !pgerr.Is(err, pgerr.Deadlock) { // each waits for the other's snapshot
					return err
				}
			}
		})
	}
	if err := all.Wait(); err != nil {
		t.Error(err)
	}
	b.has("accounts_g1", "balance,id", "touched,id")
}
