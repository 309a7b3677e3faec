package stock

import "time"

// Commit lets units leave the house that an order has reserved.
type Commit struct {
	SKU     string
	OrderID string
	// Quantity is from 1 to what the order has reserved.
	Quantity int64
	// At is when they left.
	At time.Time
}

// Decide agrees if the order has as many units reserved.
func (c Commit) Decide(s Stock) ([]Event, error) {
	at, err := check(c.SKU, c.OrderID, c.Quantity, c.At)
	if err != nil {
		return nil, err
	}
	if err := s.expectReserved("commit", c.OrderID, c.Quantity); err != nil {
		return nil, err
	}
	return []Event{Committed{SKU: c.SKU, OrderID: c.OrderID, Quantity: c.Quantity, At: at}}, nil
}

// Committed says that units reserved for an order have left the house.
type Committed struct {
	SKU      string    `json:"sku"`
	OrderID  string    `json:"order_id"`
	Quantity int64     `json:"quantity"`
	At       time.Time `json:"at"`
}

// Evolve takes the units from those on hand and from those the order has
// reserved.
func (e Committed) Evolve(s Stock) Stock {
	s.OnHand = subtract(s.OnHand, e.Quantity)
	return s.reserve(e.OrderID, -bounded(e.Quantity))
}
