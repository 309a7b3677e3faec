package projections

import (
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// The states of a projection besides those of everything that follows the log.
const (
	// BeingBuilt: a rebuild makes its rows; nobody reads them yet.
	BeingBuilt operations.State = "being built"
	// Retired: another generation took its place; it is kept to roll back to.
	Retired operations.State = "retired"
)

// States are all that a projection may be in.
func States() []operations.State {
	return []operations.State{operations.Running, operations.CatchingUp, operations.Retrying, operations.Paused, operations.Failed,
		operations.NoOwner, operations.Unreadable, BeingBuilt, Retired}
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
	Building bool             `json:"building"`
	Table    string           `json:"table"`
	State    operations.State `json:"state"`
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
	Failure     *operations.Failure `json:"failure,omitempty"`
	Trouble     *operations.Trouble `json:"trouble,omitempty"`
	// Unreadable is what the program that stands aside cannot read.
	Unreadable *operations.Trouble `json:"unreadable,omitempty"`

	// copying says that a rebuild copies its rows, retired that it was replaced.
	copying, retired bool
}

// Skip is an event that was left out of a generation.
type Skip struct {
	Projection string `json:"projection"`
	Generation int    `json:"generation"`
	operations.Skip
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
	// Audit is what else operators did, the last ten, the newest first.
	Audit []operations.AuditEntry `json:"audit"`
}

// LastAct returns what somebody did last with the projection, or asked for; false, if there is nothing.
func (d Details) LastAct() (last operations.AuditEntry, ok bool) {
	if len(d.Audit) > 0 {
		last, ok = d.Audit[0], true
	}
	if len(d.Operations) > 0 && d.Operations[0].CreatedAt.After(last.At) {
		o := d.Operations[0]
		last, ok = operations.AuditEntry{At: o.CreatedAt, Actor: o.RequestedBy, Action: string(o.Kind), Detail: o.Options.Reason}, true
	}
	return last, ok
}

// setState derives the state, once everything else is known.
func (s *Status) setState(paused bool) {
	switch {
	case s.retired:
		s.State = Retired
	case s.Failure != nil:
		s.State = operations.Failed
	case s.copying:
		s.State = BeingBuilt
	case paused:
		s.State = operations.Paused
	case s.Trouble != nil:
		s.State = operations.Retrying
	case s.Owner == "" && s.Unreadable != nil:
		s.State = operations.Unreadable
	case s.Owner == "" && !s.Current:
		s.State = BeingBuilt // it is verified, or about to catch up
	case s.Owner == "":
		s.State = operations.NoOwner
	case s.Lag > time.Second:
		s.State = operations.CatchingUp
	default:
		s.State = operations.Running
	}
}
