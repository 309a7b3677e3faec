package order

import "time"

// Abandon calls an order off that cannot be delivered, unless somebody else has called it off.
type Abandon struct {
	// Reason says why, in words for people.
	Reason string
	// At is when it was called off.
	At time.Time `app:"time"`
}

// Decide is that of Cancel, but that there is nothing to do for an order that is cancelled.
func (c Abandon) Decide(o Order) ([]Event, error) {
	if o.Status == StatusCancelled {
		return nil, nil
	}
	return Cancel(c).Decide(o)
}
