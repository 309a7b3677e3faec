package customer

import (
	"cmp"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// ChangeEmail gives a customer another address, or none.
type ChangeEmail struct {
	// Email is the new address; nil for none.
	Email *string
	// At is when it was changed.
	At time.Time
}

// Decide agrees if the customer is registered. If the address is the same there
// is nothing to do.
func (c ChangeEmail) Decide(s Customer) ([]Event, error) {
	at, err := goods.BusinessTime("/at", c.At)
	if err = cmp.Or(goods.CheckEmail("/email", c.Email), err); err != nil {
		return nil, err
	}
	if s.ID == "" {
		return nil, ErrNotRegistered
	}
	if isSame(s.Email, c.Email) {
		return nil, nil
	}
	return []Event{EmailChanged{ID: s.ID, Email: c.Email, At: at}}, nil
}

func isSame(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// EmailChanged says that mails to a customer go to another address, or to none.
type EmailChanged struct {
	ID    string    `json:"id"`
	Email *string   `json:"email"`
	At    time.Time `json:"at"`
}

// Evolve gives the customer the address.
func (e EmailChanged) Evolve(s Customer) Customer {
	s.Email = e.Email
	return s
}
