package stock

import "time"

// Release gives units back that an order has reserved and does not need.
type Release struct {
	SKU     string
	OrderID string
	// Quantity is from 1 to what the order has reserved.
	Quantity int64
	// At is when they were released.
	At time.Time
}

// Decide agrees if the order has as many units reserved.
func (c Release) Decide(s Stock) ([]Event, error) {
	at, err := check(c.SKU, c.OrderID, c.Quantity, c.At)
	if err != nil {
		return nil, err
	}
	if err := s.expectReserved("release", c.OrderID, c.Quantity); err != nil {
		return nil, err
	}
	return []Event{Released{SKU: c.SKU, OrderID: c.OrderID, Quantity: c.Quantity, At: at}}, nil
}

// Released says that units kept for an order are available again.
type Released struct {
	SKU      string    `json:"sku"`
	OrderID  string    `json:"order_id"`
	Quantity int64     `json:"quantity"`
	At       time.Time `json:"at"`
}

// Evolve takes the units from those the order has reserved.
func (e Released) Evolve(s Stock) Stock { return s.reserve(e.OrderID, -bounded(e.Quantity)) }
