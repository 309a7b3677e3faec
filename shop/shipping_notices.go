package shop

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/order"
)

// shippingNotices tells customers that their goods are on the way: in the log of the program, where a real
// shop would hand a mail to a mail server. It begins with what is shipped after it was made.
var shippingNotices = delivery.Subscription{
	Definition: delivery.Definition{Description: "Tells customers that their goods are on the way"},
	Handler: delivery.Handle("shipping-notices", func(ctx context.Context, e order.Shipped, at delivery.Event) error {
		if e.CustomerID == nil {
			return nil // a guest has left no address
		}
		zerolog.Ctx(ctx).Info().Str("customer", *e.CustomerID).Str("order", e.ID).Time("shipped_at", e.At).
			Stringer("message_id", at.MessageID).Msg("notify: your goods are on the way")
		return nil
	}),
}
