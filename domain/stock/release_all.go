package stock

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// ReleaseAll gives back whatever an order has reserved and will not need.
type ReleaseAll struct {
	SKU     string
	OrderID string
	// At is when they were released.
	At time.Time
}

// Decide agrees. If the order has nothing reserved there is nothing to do.
func (c ReleaseAll) Decide(s Stock) ([]Event, error) {
	at, quantity, err := s.reservedBy(c.SKU, c.OrderID, c.At)
	if err != nil || quantity <= 0 {
		return nil, err
	}
	return []Event{Released{SKU: c.SKU, OrderID: c.OrderID, Quantity: quantity, At: at}}, nil
}

// reservedBy checks what a command about all that an order has reserved says, and returns how much that is.
func (s Stock) reservedBy(sku, orderID string, at time.Time) (time.Time, int64, error) {
	at, err := goods.BusinessTime("/at", at)
	err = cmp.Or(goods.CheckSKU("/sku", sku), goods.CheckID("/order_id", orderID), err)
	return at, s.Reservations[orderID], err
}
