package order

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Complete closes an order whose goods have arrived.
type Complete struct {
	// At is when it was completed.
	At time.Time
}

// Decide agrees if the order is shipped.
func (c Complete) Decide(o Order) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err != nil {
		return nil, err
	}
	if err := o.expect(StatusCompleted, StatusShipped); err != nil {
		return nil, err
	}
	return []Event{Completed{ID: o.ID, CustomerID: o.CustomerID, At: at}}, nil
}

// Completed says that the goods of an order have arrived.
type Completed struct {
	ID string `json:"id"`
	// CustomerID is the key under which a customer's history keeps the order.
	CustomerID *string   `json:"customer_id"`
	At         time.Time `json:"at"`
}

// Evolve makes the order a completed one.
func (e Completed) Evolve(o Order) Order {
	o.Status = StatusCompleted
	return o
}
