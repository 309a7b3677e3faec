package shipment

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Dispatch sends the goods on their way. The shipment can no longer be cancelled.
type Dispatch struct {
	// At is when it was dispatched.
	At time.Time
}

// Decide agrees if the shipment is scheduled.
func (c Dispatch) Decide(s Shipment) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err != nil {
		return nil, err
	}
	if err := s.expect(StatusDispatched, StatusScheduled); err != nil {
		return nil, err
	}
	return []Event{Dispatched{ID: s.ID, OrderID: s.OrderID, At: at}}, nil
}

// Dispatched says that the goods of an order are on their way.
type Dispatched struct {
	ID      string    `json:"id"`
	OrderID string    `json:"order_id"`
	At      time.Time `json:"at"`
}

// Evolve makes the shipment a dispatched one.
func (e Dispatched) Evolve(s Shipment) Shipment { return s.becomes(StatusDispatched) }
