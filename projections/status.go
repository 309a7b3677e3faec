package projections

import (
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// State is what a projection is doing, in one word or two.
type State string

const (
	// Running: a process has it, and it is less than a second behind the log.
	Running State = "running"
	// CatchingUp: a process has it, and it is further behind.
	CatchingUp State = "catching up"
	// Retrying: a process has it and cannot go on for the reason in Trouble, but tries.
	Retrying State = "retrying"
	// Paused: an operator paused it. Resume.
	Paused State = "paused"
	// Failed: it stopped on Failure. Resume, or Skip.
	Failed State = "failed"
	// NoOwner: no process runs it.
	NoOwner State = "no owner"
	// BeingBuilt: a rebuild makes its rows; nobody reads them yet.
	BeingBuilt State = "being built"
	// Unreadable: the program that ran it stands aside before an event that it cannot read. A newer one
	// goes on by itself.
	Unreadable State = "unreadable"
	// Retired: another generation took its place; it is kept to roll back to.
	Retired State = "retired"
)

// States are all there are.
func States() []State {
	return []State{Running, CatchingUp, Retrying, Paused, Failed, NoOwner, Unreadable, BeingBuilt, Retired}
}

// Status is what is known of one generation of a projection.
type Status struct {
	Projection string `json:"projection"`
	// Generation and Version say which rows: generations count from 1, the version is the one in
	// the program.
	Generation int `json:"generation"`
	Version    int `json:"version"`
	// InView says that the view with the projection's name shows these rows.
	InView bool `json:"in_view"`
	// Current says that these are the rows of their version: programs that have it read them. There is
	// one such generation for each version.
	Current bool `json:"current"`
	// Known says that the program which tells has the projection, ReadHere that it reads these rows.
	Known    bool `json:"known"`
	ReadHere bool `json:"read_here"`
	// Building says that it has not yet come to where the log was when it was made; reads wait.
	Building bool   `json:"building"`
	Table    string `json:"table"`
	State    State  `json:"state"`
	// Owner names the process that runs it (Runner.Owner); empty: none does.
	Owner string `json:"owner,omitempty"`
	// Checkpoint is how far the rows are.
	Checkpoint eventstore.Token `json:"-"`
	Position   int64            `json:"position"`
	// LagEvents is how many positions of the log are left; those of other types count too, until
	// the projection has gone past them.
	LagEvents int64 `json:"lag_events"`
	// Lag is the age of the oldest event not yet applied, 0 if there is none.
	Lag time.Duration `json:"-"`
	// LagSeconds is Lag in seconds.
	LagSeconds float64 `json:"lag_seconds"`
	// Events and Digest say which events were applied or skipped: how many, and a sum over them.
	Events int64             `json:"events"`
	Digest eventstore.Digest `json:"digest"`
	// LastEventAt is when the last of them was recorded.
	LastEventAt *time.Time          `json:"last_event_at,omitempty"`
	Failure     *Failure            `json:"failure,omitempty"`
	Trouble     *operations.Trouble `json:"trouble,omitempty"`
	// Unreadable is what the program that stands aside cannot read.
	Unreadable *operations.Trouble `json:"unreadable,omitempty"`

	// copying says that a rebuild copies its rows, retired that it was replaced.
	copying, retired bool
}

// Failure is why a projection stopped.
type Failure struct {
	// Position, EventID, Type and Stream are those of the event; all zero if the log itself is the
	// reason.
	Position int64     `json:"position,omitempty"`
	EventID  uuid.UUID `json:"event_id,omitzero"`
	Type     string    `json:"type,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Error    string    `json:"error"`
	// Reason is the code of what to do about it, Hint the words of the program for it.
	Reason operations.Reason `json:"reason"`
	Hint   string            `json:"hint"`
	At     time.Time         `json:"at"`
}

// Skip is an event that was left out of a generation.
type Skip struct {
	Projection string    `json:"projection"`
	Generation int       `json:"generation"`
	Position   int64     `json:"position"`
	EventID    uuid.UUID `json:"event_id"`
	Type       string    `json:"type"`
	// Failure is the error that the projection had stopped with.
	Failure string    `json:"failure"`
	Reason  string    `json:"reason"`
	Actor   string    `json:"actor"`
	At      time.Time `json:"at"`
}

// Desired is what an operator wants of a projection.
type Desired struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

// Details is all that there is to say about a projection.
type Details struct {
	Name string `json:"name"`
	// Generations are those of all versions, the oldest first.
	Generations []Status `json:"generations"`
	// Skips are the first 1000 at most.
	Skips []Skip `json:"skips"`
	// Operations are the last ten, the newest first.
	Operations []operations.Operation `json:"operations"`
}

// setState derives the state, once everything else is known.
func (s *Status) setState(paused bool) {
	switch {
	case s.retired:
		s.State = Retired
	case s.Failure != nil:
		s.State = Failed
	case s.copying:
		s.State = BeingBuilt
	case paused:
		s.State = Paused
	case s.Trouble != nil:
		s.State = Retrying
	case s.Owner == "" && s.Unreadable != nil:
		s.State = Unreadable
	case s.Owner == "" && !s.Current:
		s.State = BeingBuilt // it is verified, or about to catch up
	case s.Owner == "":
		s.State = NoOwner
	case s.Lag > time.Second:
		s.State = CatchingUp
	default:
		s.State = Running
	}
}
