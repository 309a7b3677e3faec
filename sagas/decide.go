package sagas

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Input is what comes to an instance: Begin, Tell, Complete, Fail, TimeUp or Intervene.
type Input interface {
	decide(s *Saga, i Instance, now time.Time) ([]Event, error)
}

// Decide returns the events of an input, and of all that follows from it by the definition; none if there is nothing to do. It is a function
// of its arguments alone. Whoever writes to an instance decides so, at the version that was read.
func (s *Saga) Decide(i Instance, in Input, now time.Time) ([]Event, error) {
	events, err := in.decide(s, i, now)
	if err != nil || len(events) == 0 {
		return nil, err
	}
	for _, e := range events {
		i = e.Evolve(i)
	}
	return append(slices.Clip(events), s.follow(i, now)...), nil
}

// ErrOver is what an input is refused with if the instance, or the step, is not where it could be done.
var ErrOver = eventstore.NewError(eventstore.ClassConflict, "the saga is not where that can be done")

// Begin begins an instance. One that has begun is told of the message, if there is one.
type Begin struct {
	ID   string
	Data map[string]json.RawMessage
	// Message is the event that it begins with; of its zero value somebody begins it.
	Message Message
}

func (in Begin) decide(s *Saga, i Instance, now time.Time) ([]Event, error) {
	switch {
	case in.Message.ID != uuid.Nil && slices.Contains(i.Seen, in.Message.ID):
		return nil, nil
	case i.Status == "" || i.Status == Waiting:
		return []Event{Started{Saga: s.name, Version: s.version, ID: in.ID, Data: in.Data, Message: in.Message.ID, At: now}}, nil
	case in.Message.ID == uuid.Nil:
		return nil, fmt.Errorf("%w: %s has begun already", ErrOver, in.ID)
	}
	return Tell{in.ID, in.Message}.decide(s, i, now)
}

// Tell tells an instance of a message, once. It is kept until a step waits for it.
type Tell struct {
	ID      string
	Message Message
}

func (in Tell) decide(s *Saga, i Instance, now time.Time) ([]Event, error) {
	switch {
	case slices.Contains(i.Seen, in.Message.ID), i.Status == "" && s.beforeStart == Drop:
		return nil, nil
	case i.Status == "" && s.beforeStart == Dead:
		return nil, errNotStarted
	case i.Events >= MaxEvents && i.Status == Waiting:
		return nil, errFull
	case i.Events >= MaxEvents:
		return nil, nil
	}
	return []Event{Received{Saga: s.name, ID: in.ID, Message: in.Message.ID, Type: in.Message.Type, Data: in.Message.Data, At: now}}, nil
}

// What becomes a dead letter.
var (
	errNotStarted = errors.New("the saga has not started, and keeps no messages for later")
	errFull       = fmt.Errorf("the saga has not started, and keeps %d messages already", MaxEvents)
)

// isAt reports whether a step, or its undoing, is under way that was begun with a number.
func (i Instance) isAt(step string, number int64) (s Step, undoing, open bool) {
	s, begun := i.Step(step)
	return s, s.Status == Undoing, begun && s.Number == number && (s.Status == Open || s.Status == Undoing)
}

// Complete says that a step, or its undoing, that was begun with Number is done. Of one that nobody waits for any more that is recorded, so
// that it is undone.
type Complete struct {
	Step    string
	Number  int64
	Changes map[string]json.RawMessage
}

func (in Complete) decide(_ *Saga, i Instance, now time.Time) ([]Event, error) {
	at, begun := i.Step(in.Step)
	if !begun || at.Number != in.Number {
		return nil, nil
	}
	switch at.Status {
	case Open, NotDone, Unknown, Dropped:
		return []Event{StepCompleted{Step: in.Step, Changes: in.Changes, At: now}}, nil
	case Undoing, NotUndone:
		return []Event{Compensated{Step: in.Step, Changes: in.Changes, At: now}}, nil
	}
	return nil, nil
}

// Fail says that a step, or its undoing, that was begun with Number does not come about.
type Fail struct {
	Step   string
	Number int64
	// Code is the kind of failure, Reason what happened.
	Code, Reason string
	// Unknown says that it may have come about. Of a call that was dropped that is recorded, so that it is undone.
	Unknown bool
}

func (in Fail) decide(s *Saga, i Instance, now time.Time) ([]Event, error) {
	at, begun := i.Step(in.Step)
	switch {
	case !begun || at.Number != in.Number:
		return nil, nil
	case at.Status == Undoing:
		return []Event{CompensationFailed{Step: in.Step, Code: in.Code, Error: in.Reason, At: now}}, nil
	case at.Status == Open, at.Status == Dropped && in.Unknown && s.isOutside(in.Step):
		return []Event{StepFailed{Step: in.Step, Code: in.Code, Error: in.Reason, Unknown: in.Unknown, At: now}}, nil
	}
	return nil, nil
}

// TimeUp says that the time of a step has come that was begun with Number: a wait is over, or a deadline has passed. Before that it
// does nothing.
type TimeUp struct {
	Step   string
	Number int64
}

func (in TimeUp) decide(s *Saga, i Instance, now time.Time) ([]Event, error) {
	at, undoing, open := i.isAt(in.Step, in.Number)
	if !open || at.Until.IsZero() || at.Until.After(now) {
		return nil, nil
	}
	if t := s.find(in.Step); t != nil && t.kind == kindWait && !undoing {
		return []Event{StepCompleted{Step: in.Step, At: now}}, nil
	}
	return Fail{in.Step, in.Number, CodeDeadline, "it has not ended by its deadline, " + at.Until.UTC().Format(time.RFC3339),
		s.isOutside(in.Step)}.decide(s, i, now)
}

// Intervene is what an operator does: Intervened says what. Its At is filled in.
type Intervene struct {
	Intervened
	// Changes are those of the data of a step that is answered; or Code is the kind of its failure, Failure what happened.
	Changes       map[string]json.RawMessage
	Code, Failure string
}

func (in Intervene) decide(s *Saga, i Instance, now time.Time) ([]Event, error) {
	e := in.Intervened
	e.At = now
	refuse := func(format string, args ...any) ([]Event, error) {
		return nil, fmt.Errorf("%w: "+format, append([]any{ErrOver}, args...)...)
	}
	step, begun := i.Step(e.Step)
	switch {
	case i.Status == "" || i.Status == Waiting && e.Act != Terminate:
		return refuse("it has not begun")
	case i.Status.IsEnd() && e.Act != Retry && e.Act != Skip: // what was late may be undone still
		return refuse("it is %s", i.Status)
	case (e.Act == Retry || e.Act == Skip || e.Act == Answered) && !begun:
		return refuse("it has not begun step %q", e.Step)
	}
	switch e.Act {
	case Cancel:
		if i.Cancelling || i.Reversing {
			return refuse("what it has done is being undone already")
		}
		return []Event{e}, nil
	case Terminate:
		return append(dropOpen([]Event{e}, i, now, nil), Ended{Status: Terminated, Code: string(Terminate), Error: e.Reason, At: now}), nil
	case Retry:
		if step.Status != NotUndone {
			return refuse("step %q is %s; only what could not be undone is tried again", e.Step, step.Status)
		}
		return []Event{e, s.undoing(e.Step, now)}, nil
	case Skip:
		if step.Status != Open && step.Status != NotUndone && step.Status != Undoing {
			return refuse("step %q is %s, and nothing waits for it", e.Step, step.Status)
		}
		return []Event{e}, nil
	case Answered:
		if step.Status != Open && step.Status != Undoing && (step.Status != NotUndone || in.Code != "") {
			return refuse("step %q is %s, and nothing waits for it", e.Step, step.Status)
		}
		var answer Input = Complete{e.Step, step.Number, in.Changes}
		if in.Code != "" {
			answer = Fail{e.Step, step.Number, in.Code, in.Failure, false}
		}
		then, err := answer.decide(s, i, now)
		return append([]Event{e}, then...), err
	case Migrate:
		if i.Version == e.Version || e.Version != s.version {
			return refuse("it is of version %d, and cannot go from there to %d by version %d", i.Version, e.Version, s.version)
		}
		return dropOpen([]Event{e}, i, now, s), nil
	}
	return nil, fmt.Errorf("there is no act %q", e.Act)
}

// dropOpen returns events with those that drop the open steps which a definition has not; nil: all.
func dropOpen(events []Event, i Instance, now time.Time, s *Saga) []Event {
	for _, step := range i.Steps {
		if step.Status == Open && (s == nil || s.find(step.Name) == nil) {
			events = append(events, StepDropped{Step: step.Name, At: now})
		}
	}
	return events
}
