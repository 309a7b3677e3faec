package shipment

import "slices"

// Status is how far a shipment has come. The zero value is a shipment that was
// never scheduled.
type Status string

// The statuses of a shipment that was scheduled.
const (
	StatusScheduled  Status = "scheduled"
	StatusDispatched Status = "dispatched"
	StatusDelivered  Status = "delivered"
	StatusCancelled  Status = "cancelled"
	StatusFailed     Status = "failed"
	StatusRecalled   Status = "recalled"
)

// Shipment is the state that decisions are made from. The zero value is a
// shipment that was never scheduled.
type Shipment struct {
	ID      string `json:"id"`
	OrderID string `json:"order_id"`
	Status  Status `json:"status"`
}

// Event is something that happened to a shipment.
type Event interface {
	// Evolve returns the shipment as it is after the event.
	Evolve(Shipment) Shipment
}

// expect refuses to make the shipment to, unless it has one of the given
// statuses.
func (s Shipment) expect(to Status, from ...Status) error {
	if s.Status == "" {
		return ErrNotScheduled
	}
	if !slices.Contains(from, s.Status) {
		return &TransitionError{Of: "shipment", Refusal: ErrTransition, ID: s.ID, Status: s.Status, To: to, From: from}
	}
	return nil
}

func (s Shipment) becomes(status Status) Shipment {
	s.Status = status
	return s
}
