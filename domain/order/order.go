package order

import (
	"slices"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Status is how far an order has come. The zero value is an order that was never
// placed.
type Status string

// The statuses of an order that was placed.
const (
	StatusPlaced    Status = "placed"
	StatusConfirmed Status = "confirmed"
	StatusShipped   Status = "shipped"
	StatusCompleted Status = "completed"
	StatusCancelled Status = "cancelled"
)

// Order is the state that decisions are made from. The zero value is an order
// that was never placed.
type Order struct {
	ID     string `json:"id"`
	Status Status `json:"status"`
	// CustomerID is nil for a guest.
	CustomerID *string `json:"customer_id"`
	// Email is where mails about the order go; nil if nobody is to be told.
	Email      *string      `json:"email,omitempty"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	TotalMinor int64        `json:"total_minor"`
	PlacedAt   time.Time    `json:"placed_at"`
}

// Event is something that happened to an order.
type Event interface {
	// Evolve returns the order as it is after the event.
	Evolve(Order) Order
}

// ExpectPlaced refuses to make the order to, unless nothing has become of it yet.
func (o Order) ExpectPlaced(to Status) error { return o.expect(to, StatusPlaced) }

// expect refuses to make the order to, unless it has one of the given statuses.
func (o Order) expect(to Status, from ...Status) error {
	if o.Status == "" {
		return ErrNotPlaced
	}
	if !slices.Contains(from, o.Status) {
		return &TransitionError{Of: "order", Refusal: ErrTransition, ID: o.ID, Status: o.Status, To: to, From: from}
	}
	return nil
}
