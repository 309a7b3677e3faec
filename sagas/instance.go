package sagas

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Status is how far an instance has come. The zero value is one of which nothing is known.
type Status string

const (
	// Waiting: messages came that it is to handle once it has started.
	Waiting Status = "waiting"
	// Running: it is under way.
	Running Status = "running"
	// Compensating: what it has done is being undone, after a failure or because it was cancelled.
	Compensating Status = "compensating"
	// Stuck: something cannot be undone, and an operator is to decide: retry, or skip it.
	Stuck Status = "stuck"
	// Completed, Failed, Cancelled and Terminated are ends. What failed or was cancelled has undone what it had done;
	// what was terminated has not.
	Completed  Status = "completed"
	Failed     Status = "failed"
	Cancelled  Status = "cancelled"
	Terminated Status = "terminated"
)

// Statuses returns all.
func Statuses() []Status {
	return []Status{Waiting, Running, Compensating, Stuck, Completed, Failed, Cancelled, Terminated}
}

// IsEnd reports whether nothing follows but the undoing of what is done late.
func (s Status) IsEnd() bool {
	return s == Completed || s == Failed || s == Cancelled || s == Terminated
}

// StepStatus is how far a step has come.
type StepStatus string

const (
	// Open: it is being done, or waits for what it waits for.
	Open StepStatus = "open"
	// Done: it is completed.
	Done StepStatus = "done"
	// NotDone: it did not come about.
	NotDone StepStatus = "failed"
	// Unknown: it has passed its deadline, and may have come about.
	Unknown StepStatus = "unknown"
	// Dropped: others were enough, and nobody waits for it any more.
	Dropped StepStatus = "dropped"
	// Late: it came about after it had failed, passed its deadline or been dropped. It is undone.
	Late StepStatus = "late"
	// Undoing, Undone and NotUndone: it is being undone, it is, it cannot be.
	Undoing   StepStatus = "undoing"
	Undone    StepStatus = "undone"
	NotUndone StepStatus = "stuck"
	// Skipped: an operator has said that it goes on without it. It is not undone, whatever becomes of it.
	Skipped StepStatus = "skipped"
)

// Step is a step of an instance.
type Step struct {
	// Name is that of the definition; inside of an Each it ends with the index of the item, as in ship[2].
	Name   string     `json:"name"`
	Status StepStatus `json:"status"`
	// Number is the version of the event that has begun it, or its undoing: what comes for it names it.
	Number int64 `json:"number"`
	// Key is the number that with the instance's id is the key under which others know that it is the same again. An undoing that
	// is retried has the key of the first.
	Key int64 `json:"key"`
	// DoneKey is, of one that is being undone, what Key was before.
	DoneKey int64 `json:"done_key,omitzero"`
	// Until is its deadline, or when a wait is over; zero: it has none.
	Until time.Time `json:"until,omitzero"`
	// Outcome is how it ended first: Done, NotDone, Dropped or Skipped. That it comes late or is undone changes nothing of where the
	// instance goes.
	Outcome StepStatus `json:"outcome,omitempty"`
	// Failure is the code of the failure that is its outcome, by which it is caught. Code is that of the last one.
	Failure string `json:"failure,omitempty"`
	// Ended is the version of the event of its outcome: what is done is undone in reverse.
	Ended int64 `json:"ended,omitzero"`
	// Branch is which way was chosen, or how many items there are.
	Branch int `json:"branch,omitzero"`
	// Changes are those of the data that came too late: only its undoing sees them.
	Changes map[string]json.RawMessage `json:"changes,omitempty"`
	// Code and Error say why it failed, or why it cannot be undone.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
}

// Message is an event that an instance was told of and has not handled.
type Message struct {
	ID   uuid.UUID       `json:"id"`
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// Instance is the state of a saga under way. What it refers to is shared: do not write into it.
type Instance struct {
	Saga    string `json:"saga"`
	Version int    `json:"version"`
	ID      string `json:"id"`
	Status  Status `json:"status"`
	// Data are the members of the saga's data.
	Data map[string]json.RawMessage `json:"data,omitempty"`
	// Steps are those that were begun, in that order.
	Steps []Step `json:"steps,omitempty"`
	// Messages wait to be handled, in the order in which they came; Seen are the ids of all that came.
	Messages []Message   `json:"messages,omitempty"`
	Seen     []uuid.UUID `json:"seen,omitempty"`
	// Cancelling: somebody wants it undone. Reversing: what is done is being undone.
	Cancelling bool `json:"cancelling,omitzero"`
	Reversing  bool `json:"reversing,omitzero"`
	// Code and Error say why it failed.
	Code  string `json:"code,omitempty"`
	Error string `json:"error,omitempty"`
	// Events is how many it has.
	Events int64 `json:"events"`
}

// Step returns a step by its name; false: it was not begun.
func (i Instance) Step(name string) (Step, bool) {
	if at := i.find(name); at >= 0 {
		return i.Steps[at], true
	}
	return Step{}, false
}

func (i Instance) find(name string) int {
	return slices.IndexFunc(i.Steps, func(s Step) bool { return s.Name == name })
}

// Failure is why an instance is undone. What undoes a step finds it in the data, as the member "$failure".
type Failure struct {
	// Code is the kind, Error what happened; of what was cancelled CodeCancelled, and why.
	Code  string `json:"code"`
	Error string `json:"error"`
}

const failureMember = "$failure"

// DataOf returns the data that a step is done or undone with.
func (i Instance) DataOf(step string) map[string]json.RawMessage {
	s, _ := i.Step(step)
	data := merged(i.Data, s.Changes)
	if s.Status == Undoing && i.Code != "" {
		text, _ := json.Marshal(Failure{i.Code, i.Error}) // of strings
		data = merged(data, map[string]json.RawMessage{failureMember: text})
	}
	return data
}

// end gives the step its outcome, if it has none.
func (s *Step) end(outcome StepStatus, at int64) {
	if s.Outcome == "" {
		s.Outcome, s.Ended = outcome, at
	}
}

// with returns the instance with a step changed, or added.
func (i Instance) with(name string, change func(*Step)) Instance {
	at := i.find(name)
	if at < 0 {
		i.Steps = append(slices.Clip(i.Steps), Step{Name: name, Number: i.Events, Key: i.Events})
		at = len(i.Steps) - 1
	} else {
		i.Steps = slices.Clone(i.Steps)
	}
	change(&i.Steps[at])
	return i
}

// merged returns data with changes of its members. A member that is null is removed.
func merged(data, changes map[string]json.RawMessage) map[string]json.RawMessage {
	if len(changes) == 0 {
		return data
	}
	after := make(map[string]json.RawMessage, len(data)+len(changes))
	maps.Copy(after, data)
	for name, value := range changes {
		if string(value) == "null" {
			delete(after, name)
		} else {
			after[name] = value
		}
	}
	return after
}
