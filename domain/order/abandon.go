package order

import "time"

// Abandon calls an order off that cannot be delivered, unless somebody else has called it off.
type Abandon struct {
	// Reason says why, in words for people.
	Reason string
	// OnlyPlaced leaves an order alone that was confirmed: of who has no part in that.
	OnlyPlaced bool
	// At is when it was called off.
	At time.Time `app:"time"`
}

// Decide is that of Cancel, but that there is nothing to do for an order that is cancelled, or is left alone.
func (c Abandon) Decide(o Order) ([]Event, error) {
	if o.Status == StatusCancelled || c.OnlyPlaced && o.Status != StatusPlaced && o.Status != "" {
		return nil, nil
	}
	return Cancel{Reason: c.Reason, At: c.At}.Decide(o)
}
