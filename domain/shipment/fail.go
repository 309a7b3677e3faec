package shipment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Fail ends a shipment whose goods will not arrive: they were not picked up, were
// lost, or nobody took them.
type Fail struct {
	// Reason says why, in words for people.
	Reason string
	// At is when it failed.
	At time.Time
}

// Decide agrees if the shipment is scheduled or dispatched.
func (c Fail) Decide(s Shipment) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckReason("/reason", c.Reason), err); err != nil {
		return nil, err
	}
	if err := s.expect(StatusFailed, StatusScheduled, StatusDispatched); err != nil {
		return nil, err
	}
	return []Event{Failed{ID: s.ID, OrderID: s.OrderID, Reason: c.Reason, At: at}}, nil
}

// Failed says that the goods will not arrive by this shipment.
type Failed struct {
	ID      string    `json:"id"`
	OrderID string    `json:"order_id"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Evolve makes the shipment a failed one.
func (e Failed) Evolve(s Shipment) Shipment { return s.becomes(StatusFailed) }
