package shipment

import "time"

// CallOff sees to it that a shipment does not take place, unless it has come to nothing by itself.
type CallOff struct {
	// Reason says why, in words for people.
	Reason string
	// At is when it was called off.
	At time.Time `app:"time"`
}

// Decide is that of Cancel, but that there is nothing to do for a shipment that was cancelled or has failed.
func (c CallOff) Decide(s Shipment) ([]Event, error) {
	if s.Status == StatusCancelled || s.Status == StatusFailed {
		return nil, nil
	}
	return Cancel(c).Decide(s)
}
