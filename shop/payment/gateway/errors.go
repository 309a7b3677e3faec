package gateway

import (
	"errors"
	"fmt"
)

// What is permanent.
var (
	// ErrDeclined is matched by *DeclinedError.
	ErrDeclined = errors.New("payment gateway declined")
)

// What is transient: ask again, with the same key.
var (
	// ErrUnavailable is returned when the gateway did not take the request. Nothing
	// was done.
	ErrUnavailable = errors.New("payment gateway is unavailable, nothing was done: ask again with the same key")
	// ErrUnknown is returned when there was no answer in time. What was asked for
	// may have been done or not, or be done later.
	ErrUnknown = errors.New("payment gateway did not answer in time, it may have done what was asked: ask again with the same key")
	// ErrPending is returned when the gateway has taken the request and answers
	// later, by a callback. Who asks again meanwhile may get the answer sooner.
	ErrPending = errors.New("payment gateway answers later")
)

// DeclinedError is returned when the gateway has not done what was asked, and
// never will under this key.
type DeclinedError struct {
	Operation Operation
	OrderID   string
	// Reason says why, in words for people.
	Reason string
}

// Error says, for example, "payment gateway declined to authorize for order 42:
// insufficient funds".
func (e *DeclinedError) Error() string {
	return fmt.Sprintf("%v to %s for order %s: %s", ErrDeclined, e.Operation, e.OrderID, e.Reason)
}

// Is matches ErrDeclined.
func (e *DeclinedError) Is(target error) bool { return target == ErrDeclined }
