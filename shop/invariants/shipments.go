package invariants

import (
	"iter"
	"slices"

	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
)

// shipmentDifferences: a confirmed order has one that is to be dispatched, a shipped one was dispatched, and of others there is none.
func (b *orderBook) shipmentDifferences() iter.Seq[difference] {
	return func(yield func(difference) bool) {
		var want []shipment.Status
		expected := ""
		switch {
		case b.status == order.StatusPlaced, b.status != "" && b.status != order.StatusCancelled && !b.checkedOut:
			return
		case b.status == order.StatusConfirmed:
			want, expected = []shipment.Status{shipment.StatusScheduled}, "scheduled"
		case b.isSent():
			want, expected = []shipment.Status{shipment.StatusDispatched, shipment.StatusDelivered, shipment.StatusFailed}, "dispatched"
		case b.status == order.StatusCancelled:
			want, expected = []shipment.Status{"", shipment.StatusCancelled, shipment.StatusRecalled, shipment.StatusFailed}, "none, cancelled or recalled"
		default: // not known: nobody waits for it
			want, expected = []shipment.Status{"", shipment.StatusCancelled, shipment.StatusRecalled, shipment.StatusFailed}, "none, or at its end"
		}
		if found := string(b.shipment); !slices.Contains(want, b.shipment) {
			if found == "" {
				found = "none"
			}
			yield(difference{what: "shipment", expected: expected, found: found})
		}
	}
}
