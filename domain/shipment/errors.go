package shipment

import (
	"errors"

	"github.com/57528e99/recount/domain/goods"
)

var (
	// ErrAlreadyScheduled is returned by Schedule for a shipment that exists.
	ErrAlreadyScheduled = errors.New("shipment was scheduled already: use another id for another shipment")
	// ErrNotScheduled is returned for a shipment that does not exist.
	ErrNotScheduled = errors.New("shipment was never scheduled: check the id, or schedule it first")
	// ErrTransition is matched by *TransitionError.
	ErrTransition = errors.New("shipment does not allow this now")
)

// TransitionError is returned when a shipment cannot become what was asked for. It matches ErrTransition.
type TransitionError = goods.TransitionError[Status]
