package returns

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// ErrAlreadyReturned is returned by Accept for a return that exists.
var ErrAlreadyReturned = errors.New("return was accepted already: use another id for another return")

// Return is the state that decisions are made from. The zero value is a return
// that was never accepted.
type Return struct {
	ID string `json:"id"`
}

// Event is something that happened to a return.
type Event interface {
	// Evolve returns the return as it is after the event.
	Evolve(Return) Return
}

// Accept takes goods back, or gives a discount back.
type Accept struct {
	ID string
	// CustomerID is nil for a guest.
	CustomerID *string
	Country    string
	// Currency is an ISO 4217 code; the prices of the lines are in it.
	Currency string
	// Lines are what is given back. Quantities are positive.
	Lines []goods.Line
	// At is when it was returned. Its day in UTC is the day of the refund.
	At time.Time
}

// CreatesStream implements commands.Creator.
func (Accept) CreatesStream() {}

// Decide accepts the return if it is new, and every field and the total are
// within bounds.
func (c Accept) Decide(r Return) ([]Event, error) {
	at, err := c.check()
	if err != nil {
		return nil, err
	}
	total, err := goods.Total(c.Lines)
	if err != nil {
		return nil, err
	}
	if r.ID != "" {
		return nil, ErrAlreadyReturned
	}
	return []Event{Returned{
		ID:         c.ID,
		CustomerID: c.CustomerID,
		Country:    c.Country,
		Currency:   c.Currency,
		// The caller may use its slice again.
		Lines:      slices.Clone(c.Lines),
		TotalMinor: total,
		At:         at,
	}}, nil
}

func (c Accept) check() (time.Time, error) {
	at, err := goods.BusinessTime("/at", c.At)
	return at, cmp.Or(
		goods.CheckID("/id", c.ID),
		goods.CheckCustomerID("/customer_id", c.CustomerID),
		goods.CheckCountry("/country", c.Country),
		goods.CheckCurrency("/currency", c.Currency),
		goods.CheckLines(c.Lines),
		err,
	)
}

// Returned says that goods or a discount were given back.
type Returned struct {
	ID         string       `json:"id"`
	CustomerID *string      `json:"customer_id"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	// TotalMinor is the refund in minor units, from 0.
	TotalMinor int64     `json:"total_minor"`
	At         time.Time `json:"returned_at"`
}

// Evolve makes the return an accepted one.
func (e Returned) Evolve(Return) Return { return Return{ID: e.ID} }
