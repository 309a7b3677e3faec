// Money moves money between accounts. A transfer is a process: the money is set aside, a person is asked if the rule for fraud
// has a suspicion, and then it is posted in double entry, or given back.
//
//	go run ./examples/money dev
package main

import (
	"net/http"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/sagas"
)

func main() { cli.Main(money()) }

// money returns the service. account.go has the rules, transfer.go the process.
func money() app.App {
	accounts := app.NewAggregate[Account, Event]("account", "/v1/accounts").
		Events(
			app.Event[Opened]("AccountOpened", 1),
			app.Event[Held]("MoneyHeld", 1),
			app.Event[Released]("MoneyReleased", 1),
			app.Event[Entered]("EntryMade", 1)).
		Commands(
			app.Create[Open]("open"),
			app.Do[Send]("send"),
			app.Do[Release]("release", app.Internal))
	states, ledger := newStates(), newLedger()
	return app.App{Name: "money", Version: "0.1.0", Short: "Transfers with a rule for fraud, and a ledger", Modules: []app.Module{{
		Name:        "accounts",
		Aggregates:  []app.Aggregate{accounts},
		Units:       []app.Unit{post(accounts)},
		Sagas:       []*sagas.Saga{transfers()},
		Projections: []projections.Projection{states, ledger},
		Reads: []app.Read{
			app.Row("/v1/accounts/{id}", states),
			app.List("/v1/accounts/{account}/entries", ledger, app.ListOptions{}),
		},
		Problems: []httpapi.DomainProblem{
			app.Problem(ErrTooLittle, http.StatusConflict, "too-little", "There is too little in the account", "Send less than what is not held."),
		},
	}}}
}

// newStates returns a read model of accounts as commands see them.
func newStates() *projections.Fold[string, Account] {
	f := projections.NewFold[string, Account](projections.Table{Name: "accounts", Version: 1})
	projections.Upsert(f, projections.ByID, func(a *Account, e Event, _ projections.Recorded) error {
		*a = e.Evolve(*a)
		return nil
	})
	return f
}

// place is that of an entry in the ledger: an account, and the version of the event in its stream.
type place struct {
	Account string
	Version int64
}

// newLedger returns a read model of all entries.
func newLedger() *projections.Fold[place, Entered] {
	f := projections.NewFold[place, Entered](projections.Table{Name: "entries", Version: 1})
	key := func(_ Entered, r projections.Recorded) place { return place{eventstore.StreamID(r.Stream), r.Version} }
	projections.Upsert(f, key, func(row *Entered, e Entered, _ projections.Recorded) error {
		*row = e
		return nil
	})
	return f
}
