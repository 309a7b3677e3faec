package shipment

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrAlreadyScheduled is returned by Schedule for a shipment that exists.
	ErrAlreadyScheduled = errors.New("shipment was scheduled already: use another id for another shipment")
	// ErrNotScheduled is returned for a shipment that does not exist.
	ErrNotScheduled = errors.New("shipment was never scheduled: check the id, or schedule it first")
	// ErrTransition is matched by *TransitionError.
	ErrTransition = errors.New("shipment does not allow this now")
)

// TransitionError is returned when a shipment cannot become what was asked for.
type TransitionError struct {
	ID     string
	Status Status
	// To is what it should have become.
	To Status
	// From are the statuses that allow it, at least one.
	From []Status
}

// Error says, for example, "shipment 42 cannot be cancelled: it is dispatched (it
// can only be cancelled when scheduled)".
func (e *TransitionError) Error() string {
	is := string(e.Status)
	if e.Status == e.To {
		is += " already"
	}
	from := make([]string, len(e.From))
	for i, s := range e.From {
		from[i] = string(s)
	}
	return fmt.Sprintf("shipment %s cannot be %s: it is %s (it can only be %s when %s)",
		e.ID, e.To, is, e.To, strings.Join(from, " or "))
}

// Is matches ErrTransition.
func (e *TransitionError) Is(target error) bool { return target == ErrTransition }
