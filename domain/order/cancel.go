package order

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Cancel calls an order off.
type Cancel struct {
	// Reason says why, in words for people.
	Reason string
	// At is when it was cancelled.
	At time.Time
}

// Decide agrees if the order is not yet shipped.
func (c Cancel) Decide(o Order) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckReason("/reason", c.Reason), err); err != nil {
		return nil, err
	}
	if err := o.expect(StatusCancelled, StatusPlaced, StatusConfirmed); err != nil {
		return nil, err
	}
	return []Event{Cancelled{
		ID:         o.ID,
		CustomerID: o.CustomerID,
		Country:    o.Country,
		Currency:   o.Currency,
		Lines:      o.Lines,
		TotalMinor: o.TotalMinor,
		PlacedDay:  o.PlacedAt.UTC().Format(time.DateOnly),
		Reason:     c.Reason,
		At:         at,
	}}, nil
}

// Cancelled says that an order was called off. It repeats what was placed, so
// that whoever counts sales can take the order out again knowing nothing else.
type Cancelled struct {
	ID         string       `json:"id"`
	CustomerID *string      `json:"customer_id"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	TotalMinor int64        `json:"total_minor"`
	// PlacedDay is the day in UTC that the sale was counted on, as 2006-01-02.
	PlacedDay string    `json:"placed_day"`
	Reason    string    `json:"reason"`
	At        time.Time `json:"at"`
}

// Evolve makes the order a cancelled one.
func (e Cancelled) Evolve(o Order) Order {
	o.Status = StatusCancelled
	return o
}
