// Package accounts is a module of a bank: accounts, transfers between them, and what is read of
// both.
//
// account.go has the rules, readmodels.go what is made of the events, alerts.go who is told of them, and
// this file what there is.
package accounts

import (
	"net/http"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

// Module returns the module.
func Module() app.Module {
	accounts := app.NewAggregate[Account, Event]("account", "/v1/accounts").
		Events(
			app.Event[Opened]("AccountOpened", 1),
			app.Event[Deposited]("MoneyDeposited", 1),
			app.Event[Withdrawn]("MoneyWithdrawn", 2, eventstore.Was("Withdrawn"), eventstore.Upcast(1, withdrawnFromV1)),
			app.Event[Sent]("MoneySent", 1),
			app.Event[Received]("MoneyReceived", 1),
			app.Event[Settled]("InterestPaid", 1)).
		Commands(
			app.Create[Open]("open"),
			app.Do[Deposit]("deposit"),
			app.Do[Withdraw]("withdraw"),
			app.Do[Settle]("settle", app.Internal)).
		Snapshots(100, 1)
	transfer := func(tx *app.Tx, c Transfer) error {
		from, _ := accounts.Get(tx, c.From)
		to, _ := accounts.Get(tx, c.To)
		sent, received, err := c.Decide(from, to)
		if err != nil {
			return err
		}
		accounts.Put(tx, c.From, sent)
		accounts.Put(tx, c.To, received)
		return nil
	}
	m := newReadModels()
	return app.Module{
		Name:        "accounts",
		Aggregates:  []app.Aggregate{accounts},
		Units:       []app.Unit{app.Across("transfer", "/v1/transfers", transfer)},
		Projections: []projections.Projection{m.balances, m.statements, m.totals},
		Reads: []app.Read{
			app.Row("/v1/accounts/{id}", m.balances),
			app.List("/v1/accounts", m.balances, app.ListOptions{Filters: []string{"owner"}}),
			app.List("/v1/accounts/{account}/statement", m.statements, app.ListOptions{}),
			app.SQL[day]("/v1/totals", daysSQL, app.SQLOptions{Params: []string{"currency"}, OrderBy: []string{"day", "currency"}}),
		},
		Subscriptions: []delivery.Subscription{largeWithdrawals},
		Problems: []httpapi.DomainProblem{
			app.Problem(ErrInvalid, http.StatusUnprocessableEntity, "invalid-input", "A value is not one that the bank takes", "Correct what errors points to."),
			app.Problem(ErrNotOpen, http.StatusNotFound, "account-not-found", "There is no such account", "Check the id, or open the account: POST /v1/accounts"),
			app.Problem(ErrOpen, http.StatusConflict, "account-exists", "The account exists already", "Use another id, or none to be given one."),
			app.Problem(ErrInsufficient, http.StatusConflict, "insufficient-funds", "There is too little in the account", "Take less; detail has the balance."),
			app.Problem(ErrCurrencies, http.StatusConflict, "two-currencies", "The accounts are in two currencies", "Transfer between accounts in one currency."),
		},
	}
}
