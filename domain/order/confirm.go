package order

import (
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Confirm takes responsibility for an order: the shop will deliver it.
type Confirm struct {
	// At is when it was confirmed.
	At time.Time `app:"time"`
}

// Decide agrees if the order is placed.
func (c Confirm) Decide(o Order) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err != nil {
		return nil, err
	}
	if err := o.expect(StatusConfirmed, StatusPlaced); err != nil {
		return nil, err
	}
	return []Event{Confirmed{ID: o.ID, CustomerID: o.CustomerID, At: at}}, nil
}

// Confirmed says that the shop will deliver an order.
type Confirmed struct {
	ID string `json:"id"`
	// CustomerID is the key under which a customer's history keeps the order.
	CustomerID *string   `json:"customer_id"`
	At         time.Time `json:"at"`
}

// Evolve makes the order a confirmed one.
func (e Confirmed) Evolve(o Order) Order {
	o.Status = StatusConfirmed
	return o
}
