package payment

import (
	"errors"
	"fmt"
)

var (
	// ErrAlreadyAuthorized is returned by Authorize and Decline for an order whose
	// payment was authorized under another key.
	ErrAlreadyAuthorized = errors.New("payment was authorized already: capture or void it")
	// ErrVoided is returned by Authorize and Decline for an order whose payment was
	// voided.
	ErrVoided = errors.New("payment was voided: nothing can be authorized for this order any more")
	// ErrCaptured is returned by Void for a payment of which nothing is left but
	// what was captured.
	ErrCaptured = errors.New("payment was captured, and nothing is left to void: refund it")
	// ErrKeyReused is returned for a key under which something else was done.
	ErrKeyReused = errors.New("idempotency key was used for something else: use another key")
	// ErrAmount is matched by *AmountError.
	ErrAmount = errors.New("amount is more than is left")
)

// AmountError is returned when more is to be captured than is held, or more
// refunded than was captured.
type AmountError struct {
	// Do is what should have been done: capture or refund.
	Do                     string
	OrderID                string
	WantedMinor, LeftMinor int64
}

// Error says, for example, "cannot capture 500 for order 42: 300 are left to
// capture".
func (e *AmountError) Error() string {
	return fmt.Sprintf("cannot %s %d for order %s: %d are left to %s", e.Do, e.WantedMinor, e.OrderID, e.LeftMinor, e.Do)
}

// Is matches ErrAmount.
func (e *AmountError) Is(target error) bool { return target == ErrAmount }
