package commands

import (
	"errors"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Outcome is what became of a command, in a word.
type Outcome string

const (
	// Accepted: its events are durable.
	Accepted Outcome = "accepted"
	// Unchanged: it decided that there is nothing to do.
	Unchanged Outcome = "unchanged"
	// Rejected: its aggregate refused it.
	Rejected Outcome = "rejected"
	// Replayed: it had been run before, and got the answer of then.
	Replayed Outcome = "replayed"
	// Conflicted: the stream was not at the version that the caller demanded,
	// or others kept changing it.
	Conflicted Outcome = "conflict"
	// Failed: any other error.
	Failed Outcome = "failed"
)

// Outcomes are all there are.
func Outcomes() []Outcome {
	return []Outcome{Accepted, Unchanged, Rejected, Replayed, Conflicted, Failed}
}

// Observation is a command or a unit that was run. One that makes no sense, such as one
// without an id, is not run, and a dry run is none.
type Observation struct {
	// Category is that of the command's stream, or the name of a unit.
	Category string
	Outcome  Outcome
	// Retries is how often it was decided again, because others wrote to its
	// stream at the same time.
	Retries int
	// Duration is what the caller waited, for its turn on the stream too.
	Duration time.Duration
}

func outcomeOf(r Result, err error) Outcome {
	var rejected *RejectedError
	refused := errors.As(err, &rejected)
	switch {
	case err == nil && r.Replayed, refused && rejected.Replayed:
		return Replayed
	case refused:
		return Rejected
	case errors.Is(err, eventstore.ErrConflict):
		return Conflicted
	case err != nil:
		return Failed
	case r.Position == 0:
		return Unchanged
	}
	return Accepted
}
