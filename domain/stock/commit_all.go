package stock

import "time"

// CommitAll lets whatever an order has reserved leave the house.
type CommitAll struct {
	SKU     string
	OrderID string
	// At is when they left.
	At time.Time
}

// Decide agrees. If the order has nothing reserved there is nothing to do.
func (c CommitAll) Decide(s Stock) ([]Event, error) {
	at, quantity, err := s.reservedBy(c.SKU, c.OrderID, c.At)
	if err != nil || quantity <= 0 {
		return nil, err
	}
	return []Event{Committed{SKU: c.SKU, OrderID: c.OrderID, Quantity: quantity, At: at}}, nil
}
