package projections

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/operations"
)

// wantTables wants these tables of generations to be all there are.
func (b *bench) wantTables(want ...string) error {
	rows, err := b.pool().Query(b.Context(), `SELECT relname FROM pg_class WHERE relname LIKE 'accounts%' AND relkind IN ('r', 'v') ORDER BY 1`)
	if err != nil {
		return err
	}
	var got []string
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return err
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("there are %q, want %q", got, want)
	}
	return rows.Err()
}

func (b *bench) wantInUse(version int) {
	b.Helper()
	if d, err := b.admin.Drop(b.Context(), "accounts", version, "", "test"); !errors.Is(err, ErrInUse) {
		b.Errorf("Drop of version %d = %+v, %v; want ErrInUse", version, d, err)
	}
}

// epoch is the highest of the leases that there are.
func (b *bench) epoch() (epoch int64) {
	b.Helper()
	if err := b.pool().QueryRow(b.Context(), `SELECT max(epoch) FROM recount.projection_generations`).Scan(&epoch); err != nil {
		b.Fatal(err)
	}
	return epoch
}

func TestDropRemovesWhatNobodyNeeds(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	old, next, end := b.startTwoVersions()
	b.rebuild(next, "accounts", operations.Options{})
	b.wantInUse(1)
	b.wantInUse(2)
	b.wantInUse(0)
	b.stop(old)
	if d, err := b.admin.Drop(t.Context(), "accounts", 1, "", "test"); err != nil || !slices.Equal(d.Generations, []int{1}) || d.Whole {
		t.Errorf("Drop of a version that nobody runs = %+v, %v; want generation 1 to be removed", d, err)
	}
	if err := b.wantTables("accounts", "accounts_g2", "accounts_g3"); err != nil {
		t.Error(err)
	}
	b.wantInUse(2)
	b.stop(next)
	b.wantInUse(2) // the view shows it
	before := b.epoch()
	if d, err := b.admin.Drop(t.Context(), "accounts", 0, "it is wrong", "ann"); err != nil || !slices.Equal(d.Generations, []int{2, 3}) || !d.Whole {
		t.Errorf("Drop of what nobody runs = %+v, %v; want all that is left to be removed", d, err)
	}
	if err := b.wantTables(); err != nil {
		t.Error(err)
	}
	for _, version := range []int{0, 2} {
		if _, err := b.admin.Drop(t.Context(), "accounts", version, "", "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("Drop again = %v, want ErrNotFound", err)
		}
	}
	// A program that has it makes it anew.
	b.arrives(b.start(b.runner(newAccounts(2))), "accounts", end)
	// Who dropped it, and why, is known still.
	d, err := b.admin.Details(t.Context(), "accounts")
	if last, ok := d.LastAct(); err != nil || !ok || last.Actor != "ann" || last.Action != "drop" || last.Detail != "all of it: it is wrong" || len(d.Audit) != 2 {
		t.Errorf("the last act is %+v of %+v, %v; want that of ann", last, d.Audit, err)
	}
	// A process that was frozen all the while must not take its lease for one on the new rows.
	if now := b.epoch(); now <= before {
		t.Errorf("the epoch is %d, it was %d before the projection was dropped", now, before)
	}
}

func TestVersionsThatNobodyRunsAreDropped(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	old := b.start(b.runner(newAccounts(1)))
	b.arrives(old, "accounts", b.append("account-1", deposited{Amount: 1}))
	b.stop(old)
	c := b.config()
	c.DropUnusedAfter = time.Hour
	next, err := NewRunner(c, newAccounts(2))
	if err != nil {
		t.Fatal(err)
	}
	b.Cleanup(func() { b.stop(next) })
	b.exec(`UPDATE recount.projection_generations SET last_run_at = last_run_at - interval '2 hours'`)
	// The view shows it: it is left alone.
	if err := next.dropUnused(t.Context(), []string{"accounts"}, []int{2}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.wantTables("accounts", "accounts_g1"); err != nil {
		t.Error(err)
	}
	b.start(next)
	b.eventually(func() error { return b.shows("accounts", 2) })
	b.exec(`UPDATE recount.projection_generations SET last_run_at = clock_timestamp() - interval '59 minutes' WHERE generation = 1`)
	if err := next.dropUnused(t.Context(), []string{"accounts"}, []int{2}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.wantTables("accounts", "accounts_g1", "accounts_g2"); err != nil {
		t.Errorf("before the hour is over: %v", err)
	}
	b.exec(`UPDATE recount.projection_generations SET last_run_at = clock_timestamp() - interval '61 minutes' WHERE generation = 1`)
	if err := next.dropUnused(t.Context(), []string{"accounts"}, []int{2}, time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := b.wantTables("accounts", "accounts_g2"); err != nil {
		t.Errorf("after the hour: %v", err)
	}
}
