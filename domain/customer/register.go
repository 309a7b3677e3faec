package customer

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// Register makes somebody a customer.
type Register struct {
	ID string
	// Email is where mails to the customer go; nil if there is no address.
	Email *string
	// At is when the customer was registered.
	At time.Time
}

// CreatesStream implements commands.Creator.
func (Register) CreatesStream() {}

// Decide agrees if the customer is new.
func (c Register) Decide(s Customer) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckID("/id", c.ID), goods.CheckEmail("/email", c.Email), err); err != nil {
		return nil, err
	}
	if s.ID != "" {
		return nil, ErrAlreadyRegistered
	}
	return []Event{Registered{ID: c.ID, Email: c.Email, At: at}}, nil
}

// Registered says that somebody is a customer.
type Registered struct {
	ID    string    `json:"id"`
	Email *string   `json:"email"`
	At    time.Time `json:"at"`
}

// Evolve makes the customer a registered one.
func (e Registered) Evolve(Customer) Customer { return Customer{ID: e.ID, Email: e.Email} }
