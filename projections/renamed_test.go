package projections

import (
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// renamedCodec is newCodec in the program that calls deposits by another name.
func renamedCodec(t testing.TB) *eventstore.Codec {
	t.Helper()
	codec, err := eventstore.NewCodec(
		eventstore.TypeOf[opened]("Opened", 1),
		eventstore.TypeOf[deposited]("MoneyDeposited", 1, eventstore.Was("Deposited")),
		eventstore.TypeOf[transferred]("Transferred", 1),
		eventstore.TypeOf[closed]("Closed", 1))
	if err != nil {
		t.Fatal(err)
	}
	return codec
}

// TestARenamedTypeIsTheSameType: rows go on with the same version, and whatever reads the log, in
// whichever way, reads the events under both names.
func TestARenamedTypeIsTheSameType(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.append("account-1", opened{}, deposited{Amount: 5, Note: "old"}))
	b.stop(r)

	b.codec = renamedCodec(t)
	r = b.start(b.runner(newAccounts(1)))
	end := b.append("account-1", deposited{Amount: 7, Note: "new"})
	b.arrives(r, "accounts", end)
	if last := b.events()[2]; last.Type != "MoneyDeposited" {
		t.Errorf("the new event is %q, want its present name", last.Type)
	}
	wantBalance := func(f *Fold[string, account]) {
		t.Helper()
		s := b.reaches("accounts", operations.Running, end.Position)
		if a := b.rows(f, s.Table)["1"]; a.Balance != 12 || s.Events != 3 {
			t.Errorf("the balance is %d of %d events, want 12 of 3", a.Balance, s.Events)
		}
	}
	wantBalance(newAccounts(1))
	if v := b.verify(r, "accounts"); !v.OK() || v.LogEvents != 3 {
		t.Errorf("the verification says %+v, want nothing wrong with 3 events", v)
	}
	for _, stream := range []string{"account-1", ""} {
		if got := b.balanceAsOf(b.history(0), "1", stream, Moment{Position: 3}); got != "12 [old new]" {
			t.Errorf("as of 3, stream %q: %s, want both deposits", stream, got)
		}
	}
	b.rebuild(r, "accounts", operations.Options{})
	wantBalance(newAccounts(1))
	b.stop(r)

	// The program of before still knows the rows that were rebuilt by the one after it.
	runs, _ := newAccounts(1).prepare(newCodec(t))
	if _, err := r.catalog.serving(t.Context(), b.pool(), newAccounts(1), runs); err != nil {
		t.Errorf("to the program with the former name the rows are %v", err)
	}

	r = b.start(b.runner(newAccounts(2)))
	b.arrives(r, "accounts", end)
	wantBalance(newAccounts(2))
}

// TestFormerNamesMayBeGivenLate: the rows of a version whose definition has the present name are
// not those of another program once it is told the former ones; a verification finds what they
// lack.
func TestFormerNamesMayBeGivenLate(t *testing.T) {
	t.Parallel()
	b := newUnjudged(t)
	b.append("account-1", deposited{Amount: 5})
	forgetful, err := eventstore.NewCodec(eventstore.TypeOf[deposited]("MoneyDeposited", 1),
		eventstore.TypeOf[opened]("Opened", 1), eventstore.TypeOf[transferred]("Transferred", 1), eventstore.TypeOf[closed]("Closed", 1),
		eventstore.TypeOf[struct{}]("Deposited", 1))
	if err != nil {
		t.Fatal(err)
	}
	b.codec = forgetful
	r := b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.append("account-1", deposited{Amount: 7}))
	b.stop(r)

	b.codec = renamedCodec(t)
	r = b.start(b.runner(newAccounts(1)))
	b.arrives(r, "accounts", b.append("account-1", deposited{Amount: 9}))
	if v := b.verify(r, "accounts"); v.OK() || v.LogEvents != 3 || v.Events != 2 {
		t.Errorf("the verification says %+v, want 2 events of 3", v)
	}
	b.rebuild(r, "accounts", operations.Options{})
	if v := b.verify(r, "accounts"); !v.OK() || v.Events != 3 {
		t.Errorf("after a rebuild the verification says %+v, want nothing wrong with 3 events", v)
	}
}

func TestSQLProjectionsGetEventsUnderAllNames(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newSQLAccounts()))
	b.arrives(r, "sql_accounts", b.append("account-1", deposited{Amount: 5}))
	b.stop(r)
	b.codec = renamedCodec(t)
	r = b.start(b.runner(newSQLAccounts()))
	b.arrives(r, "sql_accounts", b.append("account-1", deposited{Amount: 7}))
	var balance int64
	if err := b.pool().QueryRow(t.Context(), `SELECT balance FROM recount.sql_accounts`).Scan(&balance); err != nil || balance != 12 {
		t.Errorf("the balance is %d, %v; want 12", balance, err)
	}
}
