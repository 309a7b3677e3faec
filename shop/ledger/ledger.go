// Package ledger keeps the books of the shop by double entry: what was taken for orders, and what was given back. It knows the events of
// payments and nothing else of the shop.
package ledger

import (
	"context"
	"errors"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/account"
	"github.com/57528e99/recount/domain/payment"
)

// The accounts. What the gateway has taken is owed to the shop by the cards; debits are positive.
const (
	Cards   = "cards"
	Sales   = "sales"
	Refunds = "refunds"
)

// Module has the streams transaction-{id}, and what posts to them: for each payment that was captured or refunded there is one transaction.
func Module() app.Module {
	return app.Module{
		Name: "ledger",
		Aggregates: []app.Aggregate{app.NewAggregate[account.Transaction, account.Event]("transaction", "/v1/transactions").
			Events(app.Event[account.Posted]("TransactionPosted", 1)).
			Commands(app.Create[account.Post]("post", app.Internal))},
		Invariants: []app.Invariant{Invariant},
		Subscriptions: []delivery.Subscription{
			{
				Definition: delivery.Definition{Description: "posts what was taken for orders", Start: fromBeginning},
				Handler: delivery.Handle("ledger-captured", func(ctx context.Context, e payment.Captured, at delivery.Event) error {
					return post(ctx, at, Sales, e.AmountMinor, e.Currency, forCapture+e.OrderID, e.At)
				}),
			},
			{
				Definition: delivery.Definition{Description: "posts what was given back for orders", Start: fromBeginning},
				Handler: delivery.Handle("ledger-refunded", func(ctx context.Context, e payment.Refunded, at delivery.Event) error {
					return post(ctx, at, Refunds, -e.AmountMinor, e.Currency, forRefund+e.OrderID, e.At)
				}),
			},
		},
	}
}

// fromBeginning: the books have payments of before there were books too.
var fromBeginning = delivery.Start{At: "beginning"}

// post moves an amount from an account to Cards. The transaction has the id of the message, so it is posted once for it, whenever that comes again.
func post(ctx context.Context, at delivery.Event, from string, minor int64, currency, reason string, when time.Time) error {
	id := at.MessageID.String()
	_, err := app.ServiceOf(ctx).React(ctx, at, "transaction.post", id, account.Post{
		ID: id, Currency: currency, Reason: reason, At: when,
		Entries: []account.Entry{{Account: Cards, AmountMinor: minor}, {Account: from, AmountMinor: -minor}},
	})
	if errors.Is(err, account.ErrAlreadyPosted) {
		return nil
	}
	return err
}
