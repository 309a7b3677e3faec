package shop

import (
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
)

// NewCodec returns the codec of the shop's events. Names and versions are those
// in the log: a name stays for ever, and a change of what is in an event is a
// new version with an upcaster from the one before.
func NewCodec() (*eventstore.Codec, error) {
	return eventstore.NewCodec(
		eventstore.TypeOf[order.Placed]("OrderPlaced", 1),
		eventstore.TypeOf[order.Confirmed]("OrderConfirmed", 1),
		eventstore.TypeOf[order.Shipped]("OrderShipped", 1),
		eventstore.TypeOf[order.Completed]("OrderCompleted", 1),
		eventstore.TypeOf[order.Cancelled]("OrderCancelled", 1),

		eventstore.TypeOf[stock.Received]("StockReceived", 1),
		eventstore.TypeOf[stock.Adjusted]("StockAdjusted", 1),
		eventstore.TypeOf[stock.Reserved]("StockReserved", 1),
		eventstore.TypeOf[stock.Released]("StockReleased", 1),
		eventstore.TypeOf[stock.Committed]("StockCommitted", 1),

		eventstore.TypeOf[returns.Returned]("ReturnAccepted", 1),
	)
}
