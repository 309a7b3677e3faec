package stock

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// CommitAll lets whatever an order has reserved leave the house.
type CommitAll struct {
	SKU     string
	OrderID string
	// At is when they left.
	At time.Time
}

// Decide agrees. If the order has nothing reserved there is nothing to do.
func (c CommitAll) Decide(s Stock) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckSKU("/sku", c.SKU), goods.CheckID("/order_id", c.OrderID), err); err != nil {
		return nil, err
	}
	quantity := s.Reservations[c.OrderID]
	if quantity <= 0 {
		return nil, nil
	}
	return []Event{Committed{SKU: c.SKU, OrderID: c.OrderID, Quantity: quantity, At: at}}, nil
}
