package shipment

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Schedule plans to send the goods of an order.
type Schedule struct {
	ID      string `app:"id"`
	OrderID string
	// Country is where the goods go.
	Country string
	// At is when it was scheduled.
	At time.Time `app:"time"`
}

// CreatesStream implements commands.Creator.
func (Schedule) CreatesStream() {}

// Decide agrees if the shipment is new.
func (c Schedule) Decide(s Shipment) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(
		goods.CheckID("/id", c.ID),
		goods.CheckID("/order_id", c.OrderID),
		goods.CheckCountry("/country", c.Country),
		err,
	); err != nil {
		return nil, err
	}
	if s.Status != "" {
		return nil, ErrAlreadyScheduled
	}
	return []Event{Scheduled{ID: c.ID, OrderID: c.OrderID, Country: c.Country, At: at}}, nil
}

// Scheduled says that the goods of an order are to be sent.
type Scheduled struct {
	ID      string    `json:"id"`
	OrderID string    `json:"order_id"`
	Country string    `json:"country"`
	At      time.Time `json:"at"`
}

// Evolve makes the shipment a scheduled one.
func (e Scheduled) Evolve(Shipment) Shipment {
	return Shipment{ID: e.ID, OrderID: e.OrderID, Status: StatusScheduled}
}
