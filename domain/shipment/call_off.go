package shipment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// CallOff sees to it that the customer gets nothing by a shipment: one that nobody has carried away does not take place, and one that is on its
// way comes back. So it is never too late for it, and never too early: what is called off before it is scheduled cannot be scheduled any more.
type CallOff struct {
	ID      string `app:"id"`
	OrderID string
	// Reason says why, in words for people.
	Reason string
	// At is when it was called off.
	At time.Time `app:"time"`
}

// Decide agrees. If the shipment has come to nothing already there is nothing to do.
func (c CallOff) Decide(s Shipment) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckID("/id", c.ID), goods.CheckID("/order_id", c.OrderID), goods.CheckReason("/reason", c.Reason), err); err != nil {
		return nil, err
	}
	switch s.Status {
	case StatusCancelled, StatusFailed, StatusRecalled:
		return nil, nil
	case StatusDispatched, StatusDelivered:
		return []Event{Recalled{ID: s.ID, OrderID: s.OrderID, Reason: c.Reason, At: at}}, nil
	}
	return []Event{Cancelled{ID: c.ID, OrderID: c.OrderID, Reason: c.Reason, At: at}}, nil
}

// Recalled says that goods which have left the house are to come back.
type Recalled struct {
	ID      string    `json:"id"`
	OrderID string    `json:"order_id"`
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Evolve makes the shipment a recalled one.
func (e Recalled) Evolve(s Shipment) Shipment { return s.becomes(StatusRecalled) }
