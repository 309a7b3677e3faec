package sagas

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Event is something that happened to an instance. What it means depends on no definition, so that every program can say how far
// an instance has come.
type Event interface {
	// Evolve returns the instance as it is after the event.
	Evolve(Instance) Instance
}

// Started says that an instance has begun.
type Started struct {
	Saga    string                     `json:"saga"`
	Version int                        `json:"version"`
	ID      string                     `json:"id"`
	Data    map[string]json.RawMessage `json:"data,omitempty"`
	// Message is the id of the event that it began with; Nil: it was begun by somebody.
	Message uuid.UUID `json:"message,omitzero"`
	At      time.Time `json:"at"`
}

// Evolve makes it a running one.
func (e Started) Evolve(i Instance) Instance {
	i.Events++
	i.Saga, i.Version, i.ID, i.Status = e.Saga, e.Version, e.ID, Running
	if e.Message != uuid.Nil {
		i.Seen = append(slices.Clip(i.Seen), e.Message)
	}
	i.Data = merged(i.Data, e.Data)
	return i
}

// Received says that an event came that the instance may wait for.
type Received struct {
	Saga    string          `json:"saga"`
	ID      string          `json:"id"`
	Message uuid.UUID       `json:"message"`
	Type    string          `json:"type"`
	Data    json.RawMessage `json:"data"`
	At      time.Time       `json:"at"`
}

// Evolve keeps the message.
func (e Received) Evolve(i Instance) Instance {
	i.Events++
	if i.Status == "" {
		i.Saga, i.ID, i.Status = e.Saga, e.ID, Waiting
	}
	i.Seen = append(slices.Clip(i.Seen), e.Message)
	if !i.Status.IsEnd() {
		i.Messages = append(slices.Clip(i.Messages), Message{e.Message, e.Type, e.Data})
	}
	return i
}

// StepScheduled says that a step has begun.
type StepScheduled struct {
	Step  string    `json:"step"`
	Until time.Time `json:"until,omitzero"`
	At    time.Time `json:"at"`
}

// Evolve opens the step.
func (e StepScheduled) Evolve(i Instance) Instance {
	i = i.with(e.Step, func(s *Step) { s.Status, s.Until = Open, e.Until })
	i.Events++
	return i
}

// StepCompleted says that a step is done.
type StepCompleted struct {
	Step string `json:"step"`
	// Changes are members of the data that have changed.
	Changes map[string]json.RawMessage `json:"changes,omitempty"`
	// Message is the id of the event that it waited for, Branch the way that was chosen.
	Message uuid.UUID `json:"message,omitzero"`
	Branch  int       `json:"branch,omitempty"`
	At      time.Time `json:"at"`
}

// Evolve closes the step. What came too late changes no data: the steps behind it were done without it.
func (e StepCompleted) Evolve(i Instance) Instance {
	late := false
	i = i.with(e.Step, func(s *Step) {
		if late = s.Status != "" && s.Status != Open; late {
			s.Status, s.Changes = Late, e.Changes
			return
		}
		s.Status, s.Branch = Done, e.Branch
		s.end(Done, i.Events)
	})
	i.Events++
	if e.Message != uuid.Nil {
		i.Messages = slices.DeleteFunc(slices.Clone(i.Messages), func(m Message) bool { return m.ID == e.Message })
	}
	if !late {
		i.Data = merged(i.Data, e.Changes)
	}
	return i
}

// StepFailed says that a step did not come about.
type StepFailed struct {
	Step string `json:"step"`
	// Code is the kind of failure, by which it is caught; Error says what happened.
	Code  string `json:"code"`
	Error string `json:"error"`
	// Unknown says that it may have come about: its deadline has passed.
	Unknown bool      `json:"unknown,omitempty"`
	At      time.Time `json:"at"`
}

// Evolve closes the step.
func (e StepFailed) Evolve(i Instance) Instance {
	i = i.with(e.Step, func(s *Step) {
		if s.Status = NotDone; e.Unknown {
			s.Status = Unknown
		}
		if s.Code, s.Error = e.Code, e.Error; s.Outcome == "" {
			s.Failure = e.Code
		}
		s.end(NotDone, i.Events)
	})
	i.Events++
	return i
}

// StepDropped says that nobody waits for a step any more.
type StepDropped struct {
	Step string `json:"step"`
	// Unknown says that it may have come about, or may yet, and that nobody will say so.
	Unknown bool      `json:"unknown,omitempty"`
	At      time.Time `json:"at"`
}

// Evolve closes the step.
func (e StepDropped) Evolve(i Instance) Instance {
	i = i.with(e.Step, func(s *Step) {
		if s.Status = Dropped; e.Unknown {
			s.Status = Unknown
		}
		s.end(Dropped, i.Events)
	})
	i.Events++
	return i
}

// CompensationBegan says that nothing new is done any more: what is done is undone, in reverse.
type CompensationBegan struct {
	// Code and Error say why; of what was cancelled they say who and why.
	Code  string    `json:"code"`
	Error string    `json:"error"`
	At    time.Time `json:"at"`
}

// Evolve makes it a compensating one.
func (e CompensationBegan) Evolve(i Instance) Instance {
	i.Events++
	i.Reversing, i.Code, i.Error, i.Messages = true, e.Code, e.Error, nil
	return i.restate()
}

// CompensationScheduled says that a step is being undone.
type CompensationScheduled struct {
	Step  string    `json:"step"`
	Until time.Time `json:"until,omitzero"`
	At    time.Time `json:"at"`
}

// Evolve opens the undoing. An instance that has ended stays ended.
func (e CompensationScheduled) Evolve(i Instance) Instance {
	i = i.with(e.Step, func(s *Step) {
		if s.Status != NotUndone {
			s.Key, s.DoneKey = i.Events, s.Key
		}
		s.Status, s.Number, s.Until, s.Code, s.Error = Undoing, i.Events, e.Until, "", ""
	})
	i.Events++
	return i.restate()
}

// Compensated says that a step is undone.
type Compensated struct {
	Step    string                     `json:"step"`
	Changes map[string]json.RawMessage `json:"changes,omitempty"`
	At      time.Time                  `json:"at"`
}

// Evolve closes the undoing.
func (e Compensated) Evolve(i Instance) Instance {
	i = i.with(e.Step, func(s *Step) { s.Status, s.Code, s.Error = Undone, "", "" })
	i.Events++
	i.Data = merged(i.Data, e.Changes)
	return i.restate()
}

// CompensationFailed says that a step cannot be undone: an operator is to decide.
type CompensationFailed struct {
	Step  string    `json:"step"`
	Code  string    `json:"code"`
	Error string    `json:"error"`
	At    time.Time `json:"at"`
}

// Evolve makes the instance a stuck one.
func (e CompensationFailed) Evolve(i Instance) Instance {
	i = i.with(e.Step, func(s *Step) { s.Status, s.Code, s.Error = NotUndone, e.Code, e.Error })
	i.Events++
	return i.restate()
}

// Ended says that an instance has come to an end.
type Ended struct {
	Status Status `json:"status"`
	// Code and Error say why it failed.
	Code  string    `json:"code,omitempty"`
	Error string    `json:"error,omitempty"`
	At    time.Time `json:"at"`
}

// Evolve ends it: messages that it has not handled it never will.
func (e Ended) Evolve(i Instance) Instance {
	i.Events++
	i.Status, i.Code, i.Error, i.Messages = e.Status, e.Code, e.Error, nil
	return i
}

// Intervened says that somebody has acted on an instance.
type Intervened struct {
	// Act is what was done.
	Act Act `json:"act"`
	// Step is which step it is about; empty: the instance.
	Step   string `json:"step,omitempty"`
	Actor  string `json:"actor,omitempty"`
	Reason string `json:"reason"`
	// Version is that of the definition to go on with, of migrate.
	Version int       `json:"version,omitempty"`
	At      time.Time `json:"at"`
}

// Act is what somebody does with an instance.
type Act string

const (
	// Cancel ends an instance: when what is open has ended, what is done is undone.
	Cancel Act = "cancel"
	// Terminate ends it at once, and undoes nothing.
	Terminate Act = "terminate"
	// Retry undoes a step again that could not be undone.
	Retry Act = "retry"
	// Skip goes on without a step that is open, or leaves one as it is that could not be undone, or has been undone by hand.
	Skip Act = "skip"
	// Migrate goes on with another version of the definition. Open steps that it has not are dropped; done ones are not undone.
	Migrate Act = "migrate"
	// Answered closes an open step, which somebody has done, or knows to have failed.
	Answered Act = "answer"
)

// Evolve does what the act says of the state; what follows from it are other events.
func (e Intervened) Evolve(i Instance) Instance {
	i.Events++
	switch e.Act {
	case Cancel:
		i.Cancelling, i.Code, i.Error = true, CodeCancelled, e.Reason
	case Migrate:
		i.Version = e.Version
	case Skip:
		i = i.with(e.Step, func(s *Step) {
			switch s.Status {
			case NotUndone, Undoing:
				s.Status = Undone
			default:
				s.Status = Skipped
				s.end(Skipped, i.Events-1)
			}
		})
	}
	return i.restate()
}

// restate returns the instance with the status that its steps lead to, while it has not ended.
func (i Instance) restate() Instance {
	if i.Status.IsEnd() || i.Status == Waiting || i.Status == "" {
		return i
	}
	if i.Status = Running; i.Reversing || i.Cancelling {
		i.Status = Compensating
	}
	for at := range i.Steps {
		if i.Steps[at].Status == NotUndone {
			i.Status = Stuck
		}
	}
	return i
}
