package projections

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/operations"
)

// of returns a runner of an App, that was not started, and the access of its operators.
func (b *bench) of(app string, projections ...Projection) (*Runner, *Admin) {
	b.Helper()
	c := b.config()
	c.App = app
	r, err := NewRunner(c, projections...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { b.stop(r) })
	return r, NewAdmin(b.pool(), b.db.Schema, b.store, projections...).ForApp(app)
}

// wantAnotherApps wants an error that names both Apps, and the projection if that is the matter.
func (b *bench) wantAnotherApps(what string, err error, app, owner, projection string) {
	b.Helper()
	var refused *AppError
	if !errors.As(err, &refused) || refused.App != app || !slices.Equal(refused.Owners, []string{owner}) || refused.Projection != projection {
		b.Errorf("%s = %v, want an *AppError of %s and %s for projection %q", what, err, app, owner, projection)
		return
	}
	if text := err.Error(); !strings.Contains(text, app) || !strings.Contains(text, owner) {
		b.Errorf("%s = %q, which does not name both Apps", what, text)
	}
}

// listed are the projections that List shows, each once.
func (b *bench) listed(a *Admin) []string {
	b.Helper()
	all, err := a.List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	var names []string
	for _, s := range all {
		names = append(names, s.Projection)
	}
	return slices.Compact(names)
}

// TestALogBelongsToTheAppsOnIt: another one is refused, and does nothing there, until it joins on
// purpose. Then each has its own, and leaves the other's alone.
func TestALogBelongsToTheAppsOnIt(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	bank, banks := b.of("bank", newAccounts(1))
	b.start(bank)
	end := b.append("account-1", deposited{Amount: 1})
	b.arrives(bank, "accounts", end)

	shop, shops := b.of("shop", newTotals("sums"))
	b.wantAnotherApps("Start", shop.Start(t.Context()), "shop", "bank", "")
	_, err := shop.Run(t.Context(), operations.Request{Kind: Rebuild, Subject: "sums", Actor: "test"}, nil)
	b.wantAnotherApps("Run", err, "shop", "bank", "")
	_, err = shops.List(t.Context())
	b.wantAnotherApps("List", err, "shop", "bank", "")
	b.wantAnotherApps("Enter", shops.Enter(t.Context()), "shop", "bank", "")
	if got := b.listed(b.admin); !slices.Equal(got, []string{"accounts"}) {
		t.Errorf("there are projections %q, want nothing made by an App that is not on the log", got)
	}

	if err := shops.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.arrives(b.start(shop), "sums", end)
	if op := b.run(bank, Verify); op.State != operations.Done {
		t.Errorf("verify of the bank's projection = %+v", op)
	}
	for app, own := range map[*Admin]string{banks: "accounts", shops: "sums"} {
		if got := b.listed(app); !slices.Equal(got, []string{own}) {
			t.Errorf("List = %q, want %q alone", got, own)
		}
	}
	last, err := shops.LastOperations(t.Context())
	if err != nil || len(last) > 0 {
		t.Errorf("the shop's LastOperations = %+v, %v; want none", last, err)
	}
	if last, err = banks.LastOperations(t.Context()); err != nil || len(last) != 1 {
		t.Fatalf("the bank's LastOperations = %+v, %v; want one", last, err)
	}
	for what, try := range map[string]func() error{
		"Show":   func() error { _, err := shops.Show(t.Context(), "accounts"); return err },
		"Pause":  func() error { return shops.Pause(t.Context(), "accounts", "", "test") },
		"Resume": func() error { return shops.Resume(t.Context(), "accounts", "", "test") },
		"Skip":   func() error { _, err := shops.Skip(t.Context(), "accounts", 0, "a test", "test"); return err },
		"Skips":  func() error { _, err := shops.Skips(t.Context(), "accounts"); return err },
		"Drop":   func() error { _, err := shops.Drop(t.Context(), "accounts", 0, "", "test"); return err },
		"Request": func() error {
			_, err := shops.Request(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts"})
			return err
		},
		"Operations": func() error { _, err := shops.Operations(t.Context(), "accounts"); return err },
		"Operation":  func() error { _, err := shops.Operation(t.Context(), last[0].ID); return err },
		"Cancel":     func() error { _, err := shops.Cancel(t.Context(), last[0].ID); return err },
	} {
		b.wantAnotherApps(what, try(), "shop", "bank", "accounts")
	}
	taker, _ := b.of("shop", newTotals("accounts"))
	b.wantAnotherApps("Start with a projection of that name", taker.Start(t.Context()), "shop", "bank", "accounts")
}

// TestAnAppDropsItsOwnUnusedVersions, and none of another App.
func TestAnAppDropsItsOwnUnusedVersions(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	old, banks := b.of("bank", newAccounts(1))
	b.start(old)
	next, _ := b.of("bank", newAccounts(2))
	b.arrives(b.start(next), "accounts", b.append("account-1", deposited{Amount: 1}))
	b.eventually(func() error { return b.shows("accounts", 2) })
	b.stop(old)
	shop, shops := b.of("shop", newTotals("sums"))
	if err := shops.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.exec(`UPDATE recount.projection_generations SET last_run_at = last_run_at - interval '2 hours' WHERE generation = 1`)
	for _, r := range []struct {
		*Runner
		want int
	}{{shop, 2}, {next, 1}} {
		names, versions := r.known()
		if err := r.dropUnused(t.Context(), names, versions, time.Hour); err != nil {
			t.Fatal(err)
		}
		if all, err := banks.Show(t.Context(), "accounts"); err != nil || len(all) != r.want {
			t.Errorf("the bank has %d versions, %v; want %d", len(all), err, r.want)
		}
	}
}

// TestAppsInTwoSchemasShareNothing, not even names.
func TestAppsInTwoSchemasShareNothing(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	if _, err := migrations.Up(t.Context(), b.db.Direct, "tickets"); err != nil {
		t.Fatal(err)
	}
	bank, banks := b.of("bank", newAccounts(1))
	db := *b.db
	db.Schema = "tickets"
	other := newBenchOn(t, &db, b.store)
	tickets, all := other.of("tickets", newAccounts(1))
	b.start(bank)
	other.start(tickets)
	end := b.append("account-1", deposited{Amount: 1})
	b.arrives(bank, "accounts", end)
	other.arrives(tickets, "accounts", end)
	if err := banks.Pause(t.Context(), "accounts", "", "test"); err != nil {
		t.Fatal(err)
	}
	b.reaches("accounts", operations.Paused, end.Position)
	other.arrives(tickets, "accounts", b.append("account-1", deposited{Amount: 1}))
	for _, a := range []*Admin{banks, all} {
		if got := b.listed(a); !slices.Equal(got, []string{"accounts"}) {
			t.Errorf("List = %q, want accounts", got)
		}
	}
}

// TestAnAppTakesOverWhatHasNone of what it has by name: rows of before stay as they are, and a
// program of before goes on with them.
func TestAnAppTakesOverWhatHasNone(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	before := b.start(b.runner(newAccounts(1), newTotals("sums")))
	end := b.append("account-1", deposited{Amount: 1})
	b.arrives(before, "accounts", end)
	b.arrives(before, "sums", end)
	bank, banks := b.of("bank", newAccounts(1))
	if got := b.listed(banks); !slices.Equal(got, []string{"accounts"}) {
		t.Errorf("before the bank has joined List = %q, want what it has by name", got)
	}
	b.start(bank)
	b.stop(before)
	b.arrives(bank, "accounts", end)
	if s := b.status("accounts"); s.Generation != 1 {
		t.Errorf("the rows are of generation %d, want them taken over", s.Generation)
	}
	if got := b.listed(banks); !slices.Equal(got, []string{"accounts"}) {
		t.Errorf("List = %q, want accounts alone", got)
	}
	if _, err := banks.Show(t.Context(), "sums"); err != nil {
		t.Errorf("Show of a projection that is nobody's = %v", err)
	}
	shop, shops := b.of("shop", newTotals("sums"))
	if err := shops.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.arrives(b.start(shop), "sums", end)
	_, err := banks.Show(t.Context(), "sums")
	b.wantAnotherApps("Show", err, "bank", "shop", "sums")
	b.stop(bank)
	b.arrives(b.start(b.runner(newAccounts(1))), "accounts", b.append("account-1", deposited{Amount: 1}))
}

// TestTheFirstAppIsOne, however many processes of however many Apps are the first at the same time.
func TestTheFirstAppIsOne(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	app := func(i int) string { return []string{"bank", "shop"}[i%2] }
	entrants := make([]*Admin, 4)
	for i := range entrants {
		entrants[i] = NewAdmin(b.newPool(), b.db.Schema, b.store).ForApp(app(i))
		if err := entrants[i].Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	// All have looked, and found nobody, when the first writes.
	held, err := b.newPool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Exec(t.Context(), `LOCK TABLE recount.apps IN SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	var entering sync.WaitGroup
	errs := make([]error, len(entrants))
	for i, a := range entrants {
		entering.Go(func() { errs[i] = a.Enter(t.Context()) })
	}
	b.eventually(func() error {
		var waiting int
		err := b.pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_locks WHERE relation = 'recount.apps'::regclass AND NOT granted`).Scan(&waiting)
		if err == nil && waiting < len(errs) {
			err = fmt.Errorf("%d are about to join, want %d", waiting, len(errs))
		}
		return err
	})
	if err := held.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	entering.Wait()
	var apps string
	if err := b.pool().QueryRow(t.Context(), `SELECT string_agg(name, ',') FROM recount.apps`).Scan(&apps); err != nil {
		t.Fatal(err)
	}
	for i, err := range errs {
		if refused := errors.Is(err, ErrAnotherApp); refused != (app(i) != apps) || err != nil && !refused {
			t.Errorf("Enter of %s = %v, the log is of %s", app(i), err, apps)
		}
	}
}
