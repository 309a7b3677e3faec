package stock

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Receive takes goods into the house.
type Receive struct {
	SKU string
	// Quantity is from 1 to goods.MaxQuantity.
	Quantity int64
	// At is when they arrived.
	At time.Time
}

// Decide agrees unless there would be more than MaxOnHand.
func (c Receive) Decide(s Stock) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckSKU("/sku", c.SKU), goods.CheckQuantity("/quantity", c.Quantity), err); err != nil {
		return nil, err
	}
	if err := s.expectRoom(c.Quantity); err != nil {
		return nil, err
	}
	return []Event{Received{SKU: c.SKU, Quantity: c.Quantity, At: at}}, nil
}

// Received says that goods arrived.
type Received struct {
	SKU      string    `json:"sku"`
	Quantity int64     `json:"quantity"`
	At       time.Time `json:"at"`
}

// Evolve adds the goods to those on hand.
func (e Received) Evolve(s Stock) Stock {
	s.OnHand = add(s.OnHand, e.Quantity)
	return s
}
