package order

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrAlreadyPlaced is returned by Place for an order that exists.
	ErrAlreadyPlaced = errors.New("order was placed already: use another id for another order")
	// ErrNotPlaced is returned for an order that does not exist.
	ErrNotPlaced = errors.New("order was never placed: check the id, or place it first")
	// ErrTransition is matched by *TransitionError.
	ErrTransition = errors.New("order does not allow this now")
)

// TransitionError is returned when an order cannot become what was asked for.
type TransitionError struct {
	ID     string
	Status Status
	// To is what it should have become.
	To Status
	// From are the statuses that allow it, at least one.
	From []Status
}

// Error says, for example, "order 42 cannot be shipped: it is cancelled (it can
// only be shipped when confirmed)".
func (e *TransitionError) Error() string {
	is := string(e.Status)
	if e.Status == e.To {
		is += " already"
	}
	from := make([]string, len(e.From))
	for i, s := range e.From {
		from[i] = string(s)
	}
	return fmt.Sprintf("order %s cannot be %s: it is %s (it can only be %s when %s)",
		e.ID, e.To, is, e.To, strings.Join(from, " or "))
}

// Is matches ErrTransition.
func (e *TransitionError) Is(target error) bool { return target == ErrTransition }
