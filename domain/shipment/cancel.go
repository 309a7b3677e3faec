package shipment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Cancel calls a shipment off.
type Cancel struct {
	// Reason says why, in words for people.
	Reason string
	// At is when it was cancelled.
	At time.Time
}

// Decide agrees if the shipment is not yet dispatched.
func (c Cancel) Decide(s Shipment) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckReason("/reason", c.Reason), err); err != nil {
		return nil, err
	}
	if err := s.expect(StatusCancelled, StatusScheduled); err != nil {
		return nil, err
	}
	return []Event{Cancelled{ID: s.ID, OrderID: s.OrderID, Reason: c.Reason, At: at}}, nil
}

// Cancelled says that the goods will not be sent.
type Cancelled struct {
	ID      string    `json:"id"`
	OrderID string    `json:"order_id"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Evolve makes the shipment a cancelled one, also if it was never scheduled.
func (e Cancelled) Evolve(Shipment) Shipment {
	return Shipment{ID: e.ID, OrderID: e.OrderID, Status: StatusCancelled}
}
