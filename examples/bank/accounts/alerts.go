package accounts

import (
	"context"
	"encoding/json"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// largeWithdrawals tells the branch, in the log of the program, of money that went out in sums that
// have to be reported: once or, if the program dies just then, twice, and never not at all.
var largeWithdrawals = delivery.Subscription{
	Definition: delivery.Definition{
		Name: "large-withdrawals", Description: "Withdrawals that have to be reported",
		Filter: json.RawMessage(`{"type":["MoneyWithdrawn"],"data":{"amount_minor":[{"numeric":[">=",1000000]}]}}`),
	},
	Handler: delivery.Handle("large-withdrawals", func(ctx context.Context, e Withdrawn, at delivery.Event) error {
		zerolog.Ctx(ctx).Warn().Str("account", eventstore.StreamID(at.Stream)).Int64("amount_minor", e.AmountMinor).
			Str("currency", e.Currency).Time("at", e.At).Msg("a large withdrawal")
		return nil
	}),
}
