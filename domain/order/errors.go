package order

import (
	"errors"

	"github.com/57528e99/recount/domain/goods"
)

var (
	// ErrAlreadyPlaced is returned by Place for an order that exists.
	ErrAlreadyPlaced = errors.New("order was placed already: use another id for another order")
	// ErrNotPlaced is returned for an order that does not exist.
	ErrNotPlaced = errors.New("order was never placed: check the id, or place it first")
	// ErrTransition is matched by *TransitionError.
	ErrTransition = errors.New("order does not allow this now")
)

// TransitionError is returned when an order cannot become what was asked for. It matches ErrTransition.
type TransitionError = goods.TransitionError[Status]
