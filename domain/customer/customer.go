package customer

import "errors"

var (
	// ErrAlreadyRegistered is returned by Register for a customer that exists.
	ErrAlreadyRegistered = errors.New("customer was registered already: use another id for another customer")
	// ErrNotRegistered is returned for a customer that does not exist.
	ErrNotRegistered = errors.New("customer was never registered: check the id, or register it first")
)

// Customer is the state that decisions are made from. The zero value is a
// customer that was never registered.
type Customer struct {
	ID string `json:"id"`
	// Email is where mails to the customer go; nil if there is no address.
	Email *string `json:"email"`
}

// Event is something that happened to a customer.
type Event interface {
	// Evolve returns the customer as it is after the event.
	Evolve(Customer) Customer
}
