package delivery

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// begin is the place behind which a subscription begins that is made now, or why there is none.
type begin struct {
	at  eventstore.Token
	err error
}

// errNoBegin says that a subscription is to be made, and nobody has looked yet where it begins. That may take long, and matters
// only then.
var errNoBegin = errors.New("the start is not resolved")

// begin resolves a start.
func (a *Admin) begin(ctx context.Context, d Definition) (*begin, error) {
	head, err := a.log.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the log: %w", err)
	}
	at, err := a.resolve(ctx, d.Start, head)
	var invalid *FieldError
	if errors.As(err, &invalid) {
		return &begin{err: &InvalidError{d.Name, []*FieldError{{"/start" + invalid.Pointer, invalid.Reason}}}}, nil
	}
	return &begin{at: at}, err
}

// resolve returns the place before the event that a start says. The error is a *FieldError if there is none.
func (a *Admin) resolve(ctx context.Context, s Start, head eventstore.Token) (eventstore.Token, error) {
	at := head
	switch {
	case s.At == AtEnd:
	case s.At == AtBeginning:
		at.Position = 0
	case s.Position > head.Position+1:
		return at, &FieldError{"/position", fmt.Sprintf("must be at most %d: the log ends at %d", head.Position+1, head.Position)}
	case s.Position > 0:
		at.Position = s.Position - 1
	case !s.Time.IsZero():
		if s.Time.After(time.Now()) {
			return at, &FieldError{"/time", `must not be in the future; "end" begins now`}
		}
		position, err := eventstore.FirstSince(ctx, a.log, s.Time, head.Position)
		at.Position = position - 1
		return at, err
	case s.AfterEvent != "":
		id, err := uuid.Parse(s.AfterEvent)
		if err != nil {
			return at, &FieldError{"/after_event", "must be the id of an event, a UUID"}
		}
		e, err := a.eventByID(ctx, id)
		if errors.Is(err, errNoEvent) {
			return at, &FieldError{"/after_event", fmt.Sprintf("must be the id of one of the last %d events of the log: none of them has it; of others give the position", a.searched)}
		}
		at.Position = e.Position
		return at, err
	}
	return at, nil
}

// startAt returns the mistakes of a start that is not the member /start, but another.
func startAt(pointer string, mistakes []*FieldError) (all []*FieldError) {
	for _, m := range mistakes {
		at := m.Pointer
		if rest, is := strings.CutPrefix(at, "/start"); is {
			at = pointer + rest
		}
		all = append(all, &FieldError{at, m.Reason})
	}
	return all
}

// errNoEvent says that the log has no such event.
var errNoEvent = errors.New("the log has no such event")

// eventFrom returns the first event at a position or behind it.
func (a *Admin) eventFrom(ctx context.Context, position int64) (eventstore.RecordedEvent, error) {
	for e, err := range a.log.ReadAll(ctx, eventstore.ReadOptions{From: position, Limit: 1}) {
		return e, err
	}
	return eventstore.RecordedEvent{}, errNoEvent
}

// ErrNoEvent is returned for an event that is not in the log, or cannot be found.
var ErrNoEvent = eventstore.NewError(eventstore.ClassNotFound, "event not found")

// Event returns the event of the log at a position; if that is 0, the last that has an id, if it is among the last 500,000.
//
// The error is ErrNoEvent, or one of the log.
func (a *Admin) Event(ctx context.Context, position int64, id uuid.UUID) (Event, error) {
	head, err := a.log.Head(ctx)
	if err != nil {
		return Event{}, err
	}
	var e eventstore.RecordedEvent
	if position > 0 {
		e, err = a.eventFrom(ctx, position)
	} else {
		e, err = a.eventByID(ctx, id)
	}
	switch {
	case errors.Is(err, errNoEvent), err == nil && position > 0 && e.Position != position:
		if position > 0 {
			return Event{}, fmt.Errorf("%w: the log ends at position %d, before %d", ErrNoEvent, head.Position, position)
		}
		return Event{}, fmt.Errorf("%w: none of the last %d is %s", ErrNoEvent, a.searched, id)
	case err != nil:
		return Event{}, err
	}
	return Event{RecordedEvent: &e, MessageID: MessageID(head.Log, &e)}, nil
}

// searchedByID is among how many events, the last of the log, one is looked for by its id: some seconds of reading.
const searchedByID = 500_000

// eventByID returns the last event that has an id of those that are looked at. The log knows ids by stream, so that it is read
// from its end.
func (a *Admin) eventByID(ctx context.Context, id uuid.UUID) (eventstore.RecordedEvent, error) {
	for e, err := range a.log.ReadAll(ctx, eventstore.ReadOptions{From: eventstore.End, Backwards: true, PageSize: 5000, Limit: a.searched}) {
		if err != nil || e.ID == id {
			return e, err
		}
	}
	return eventstore.RecordedEvent{}, errNoEvent
}
