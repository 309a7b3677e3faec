package order

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Ship sends the goods of an order on their way. It can no longer be cancelled.
type Ship struct {
	// At is when it was shipped.
	At time.Time `app:"time"`
}

// Decide agrees if the order is confirmed.
func (c Ship) Decide(o Order) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err != nil {
		return nil, err
	}
	if err := o.expect(StatusShipped, StatusConfirmed); err != nil {
		return nil, err
	}
	return []Event{Shipped{ID: o.ID, CustomerID: o.CustomerID, At: at}}, nil
}

// Shipped says that the goods of an order are on their way.
type Shipped struct {
	ID string `json:"id"`
	// CustomerID is the key under which a customer's history keeps the order.
	CustomerID *string   `json:"customer_id"`
	At         time.Time `json:"at"`
}

// Evolve makes the order a shipped one.
func (e Shipped) Evolve(o Order) Order {
	o.Status = StatusShipped
	return o
}
