package order

import (
	"cmp"
	"slices"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Place asks for a new order.
type Place struct {
	ID string
	// CustomerID is nil for a guest.
	CustomerID *string
	// Email is where mails about the order go; nil if nobody is to be told.
	Email   *string
	Country string
	// Currency is an ISO 4217 code; the prices of the lines are in it.
	Currency string
	Lines    []goods.Line
	// At is when the order was placed. Its day in UTC is the day of the sale.
	At time.Time
}

// CreatesStream implements commands.Creator.
func (Place) CreatesStream() {}

// Decide accepts the order if it is new, and every field and the total are
// within bounds.
func (c Place) Decide(o Order) ([]Event, error) {
	at, err := c.check()
	if err != nil {
		return nil, err
	}
	total, err := goods.Total(c.Lines)
	if err != nil {
		return nil, err
	}
	if o.Status != "" {
		return nil, ErrAlreadyPlaced
	}
	return []Event{Placed{
		ID:         c.ID,
		CustomerID: c.CustomerID,
		Email:      c.Email,
		Country:    c.Country,
		Currency:   c.Currency,
		// The caller may use its slice again.
		Lines:      slices.Clone(c.Lines),
		TotalMinor: total,
		At:         at,
	}}, nil
}

func (c Place) check() (time.Time, error) {
	at, err := goods.BusinessTime("/at", c.At)
	return at, cmp.Or(
		goods.CheckID("/id", c.ID),
		goods.CheckCustomerID("/customer_id", c.CustomerID),
		goods.CheckEmail("/email", c.Email),
		goods.CheckCountry("/country", c.Country),
		goods.CheckCurrency("/currency", c.Currency),
		goods.CheckLines(c.Lines),
		err,
	)
}

// Placed says that an order was accepted.
type Placed struct {
	ID         string       `json:"id"`
	CustomerID *string      `json:"customer_id"`
	Email      *string      `json:"email,omitempty"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	TotalMinor int64        `json:"total_minor"`
	At         time.Time    `json:"placed_at"`
}

// Evolve makes the order a placed one.
func (e Placed) Evolve(Order) Order {
	return Order{
		ID:         e.ID,
		Status:     StatusPlaced,
		CustomerID: e.CustomerID,
		Email:      e.Email,
		Country:    e.Country,
		Currency:   e.Currency,
		Lines:      e.Lines,
		TotalMinor: e.TotalMinor,
		PlacedAt:   e.At,
	}
}
