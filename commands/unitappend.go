package commands

import (
	"context"
	"slices"

	"github.com/57528e99/recount/eventstore"
)

// Append adds events to the end of a stream that the unit does not look at, such as one of no aggregate of the program: whatever is there
// already, they come behind it. Those without metadata have that of the unit. Handlers of the unit must not put events to the same stream.
func (tx *Unit) Append(stream string, events ...eventstore.Event) {
	if tx.err != nil {
		return
	}
	if err := eventstore.ValidateStream(stream); err != nil {
		tx.Fail(err)
		return
	}
	if tx.parts[stream] == nil {
		tx.parts[stream] = &blindPart{stream: stream}
	}
	p, ok := tx.parts[stream].(*blindPart)
	if !ok {
		tx.Fail(&eventstore.InvalidError{Field: "stream", Reason: "is that of an aggregate which the unit looks at"})
		return
	}
	if !slices.Contains(tx.asked, part(p)) {
		p.reset()
		tx.asked = append(tx.asked, p)
	}
	for _, e := range events {
		if e.Metadata == nil {
			e.Metadata = tx.request.metadata
		}
		p.events = append(p.events, e)
	}
}

// blindPart is a stream that a unit appends to whatever it has: nobody takes turns on it.
type blindPart struct {
	stream string
	events []eventstore.Event
}

func (*blindPart) enter(context.Context) error { return nil }
func (*blindPart) tryEnter()                   {}
func (*blindPart) leave()                      {}
func (*blindPart) isEntered() bool             { return true }

func (*blindPart) reload(context.Context) error { return nil }

func (p *blindPart) reset() { p.events = nil }

func (p *blindPart) mark() func() {
	events := slices.Clip(p.events)
	return func() { p.events = events }
}

func (p *blindPart) toAppend() eventstore.StreamAppend {
	return eventstore.StreamAppend{Stream: p.stream, Expected: eventstore.Any, Events: p.events}
}

func (*blindPart) appended(eventstore.Appended) {}
func (*blindPart) forget()                      {}
