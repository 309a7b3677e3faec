package stock

import "time"

// Reserve keeps units for an order.
type Reserve struct {
	SKU     string
	OrderID string
	// Quantity is from 1 to goods.MaxQuantity. It is added to what the order has
	// reserved already.
	Quantity int64
	// At is when they were reserved.
	At time.Time
}

// Decide agrees if as many units are available.
func (c Reserve) Decide(s Stock) ([]Event, error) {
	at, err := check(c.SKU, c.OrderID, c.Quantity, c.At)
	if err != nil {
		return nil, err
	}
	if err := s.expectAvailable("reserve", c.Quantity); err != nil {
		return nil, err
	}
	return []Event{Reserved{SKU: c.SKU, OrderID: c.OrderID, Quantity: c.Quantity, At: at}}, nil
}

// Reserved says that units are kept for an order.
type Reserved struct {
	SKU      string    `json:"sku"`
	OrderID  string    `json:"order_id"`
	Quantity int64     `json:"quantity"`
	At       time.Time `json:"at"`
}

// Evolve adds the units to those the order has reserved.
func (e Reserved) Evolve(s Stock) Stock { return s.reserve(e.OrderID, e.Quantity) }
