package shipment

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Deliver ends a shipment whose goods have arrived.
type Deliver struct {
	// At is when it was delivered.
	At time.Time
}

// Decide agrees if the shipment is dispatched.
func (c Deliver) Decide(s Shipment) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err != nil {
		return nil, err
	}
	if err := s.expect(StatusDelivered, StatusDispatched); err != nil {
		return nil, err
	}
	return []Event{Delivered{ID: s.ID, OrderID: s.OrderID, At: at}}, nil
}

// Delivered says that the goods of an order have arrived.
type Delivered struct {
	ID      string    `json:"id"`
	OrderID string    `json:"order_id"`
	At      time.Time `json:"at"`
}

// Evolve makes the shipment a delivered one.
func (e Delivered) Evolve(s Shipment) Shipment { return s.becomes(StatusDelivered) }
