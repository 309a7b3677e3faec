package projections

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Kind is what an operation does.
type Kind string

const (
	// Rebuild builds the rows anew beside the present ones, then takes their place.
	Rebuild Kind = "rebuild"
	// Rollback takes the generation before the present one up to date and puts it back.
	Rollback Kind = "rollback"
	// Verify compares the rows with a fresh fold of the log.
	Verify Kind = "verify"
	// Repair makes one row anew from the log.
	Repair Kind = "repair"
)

// Request asks for an operation on a projection.
type Request struct {
	Kind       Kind
	Projection string
	// Version is the version of the projection. Default: that of this program, else the one that the
	// view shows.
	Version int
	Options Options
	// Actor is who asks.
	Actor string
}

// Options say how an operation is done. Its zero value works.
type Options struct {
	// Workers is how many goroutines decode, and how many fold. Default: GOMAXPROCS. At most 64.
	Workers int `json:"workers,omitempty"`
	// Throttle is how many events may be read in a second. It must be more than are appended, or the
	// new rows never catch up. Default: 0, as many as there are.
	Throttle int `json:"throttle,omitempty"`
	// MemoryBytes bounds the rows that are in memory at once, as estimated; what does not fit takes
	// another pass over the log. Default: 256 MiB. Minimum: 64 KiB.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// Verify compares what a rebuild has built with another fold of the log before it is shown.
	Verify bool `json:"verify,omitempty"`
	// Keep is how many generations that are no longer read a rebuild leaves, to roll back to.
	// Default: nil, which is 1.
	Keep *int `json:"keep,omitempty"`
	// Key is the row to repair: a key of one column as text, one of several as a JSON array.
	Key string `json:"key,omitempty"`
}

const (
	minMemory     = 64 << 10
	defaultMemory = 256 << 20
	maxWorkers    = 64
	maxKeep       = 100
)

func (o Options) check(kind Kind) error {
	switch {
	case o.Workers < 0 || o.Workers > maxWorkers:
		return optionError("workers", "is %d, it must be from 1 to %d, or 0 for the default", o.Workers, maxWorkers)
	case o.Throttle < 0:
		return optionError("throttle", "is %d events a second, it must be 1 or more, or 0 for none", o.Throttle)
	case o.MemoryBytes != 0 && o.MemoryBytes < minMemory:
		return optionError("memory_bytes", "is %d, it must be %d or more, or 0 for the default", o.MemoryBytes, minMemory)
	case o.Keep != nil && (*o.Keep < 0 || *o.Keep > maxKeep):
		return optionError("keep", "is %d generations, it must be from 0 to %d", *o.Keep, maxKeep)
	case kind == Repair && o.Key == "":
		return optionError("key", "must be that of the row to repair")
	}
	return nil
}

// check returns an error that matches ErrInvalidRequest if it cannot be done with p, whatever the
// database has.
func (r Request) check(p Projection) error {
	if r.Kind != Verify && r.Kind != Repair {
		return nil
	}
	fold, ok := p.(interface{ checkKey(text string) error })
	if !ok {
		return fmt.Errorf("%w: only folds can be verified and repaired; rebuild a SQL projector", ErrInvalidRequest)
	}
	if r.Kind == Verify {
		return nil
	}
	if err := fold.checkKey(r.Options.Key); err != nil {
		return optionError("key", "cannot be read: %v; give a key of one column as text, one of several as a JSON array of their values "+
			"or as an object with the names of its columns", err)
	}
	return nil
}

func (o Options) keep() int {
	if o.Keep == nil {
		return 1
	}
	return *o.Keep
}

// OperationState is where an operation stands.
type OperationState string

const (
	// OperationRunning: a process works on it, or will as soon as there is one.
	OperationRunning OperationState = "running"
	// OperationDone: it has done what was asked for; Result has what there is to tell.
	OperationDone OperationState = "done"
	// OperationFailed: it cannot go on for the reason in Error. What it had built is gone.
	OperationFailed OperationState = "failed"
	// OperationCancelled: somebody cancelled it. What it had built is gone.
	OperationCancelled OperationState = "cancelled"
)

// OperationStates are all there are.
func OperationStates() []OperationState {
	return []OperationState{OperationRunning, OperationDone, OperationFailed, OperationCancelled}
}

// Operation is long work on a projection. It outlives the process that does it: if that dies, any
// other that runs the projection goes on, at the latest with the last bucket.
type Operation struct {
	ID         uuid.UUID      `json:"id"`
	Projection string         `json:"projection"`
	Kind       Kind           `json:"kind"`
	Version    int            `json:"version"`
	Options    Options        `json:"options"`
	State      OperationState `json:"state"`
	// Cancelling says that somebody asked for its end.
	Cancelling bool `json:"cancelling,omitempty"`
	// Generation is the one that it works on, 0 while that is not decided.
	Generation int `json:"generation,omitempty"`
	// Owner names the process that works on it; empty: none does.
	Owner       string `json:"owner,omitempty"`
	RequestedBy string `json:"requested_by"`
	Progress
	// Result is what there is to tell about one that is done: a Verification for Verify, a Repaired
	// for Repair.
	Result     json.RawMessage `json:"result,omitempty"`
	Error      string          `json:"error,omitempty"`
	Hint       string          `json:"hint,omitempty"`
	CreatedAt  time.Time       `json:"created_at"`
	UpdatedAt  time.Time       `json:"updated_at"`
	FinishedAt *time.Time      `json:"finished_at,omitempty"`
}

// Progress is how far an operation is.
type Progress struct {
	// Phase is what it is at, in a word or two.
	Phase string `json:"phase"`
	// Position is where in the log the present pass is, Target where it ends.
	Position int64 `json:"position"`
	Target   int64 `json:"target"`
	// Events were read by the process that works on it, over all passes.
	Events          int64   `json:"events"`
	EventsPerSecond float64 `json:"events_per_second"`
	// SecondsLeft is an estimate for the readings of the log that are known to come, without indexes;
	// nil: none can be made.
	SecondsLeft *float64 `json:"seconds_left,omitempty"`
	// Buckets of the key space, and how many of them are in the table.
	Buckets     int `json:"buckets,omitempty"`
	BucketsDone int `json:"buckets_done,omitempty"`
}

var (
	// ErrBusy is matched by *BusyError.
	ErrBusy = eventstore.NewError(eventstore.ClassConflict, "another operation works on the projection")
	// ErrOperationNotFound is returned for the id of no operation.
	ErrOperationNotFound = eventstore.NewError(eventstore.ClassNotFound, "operation not found")
	// ErrNoGeneration is returned for a rollback that has no generation to go back to, with ErrInvalidRequest.
	ErrNoGeneration = eventstore.NewError(eventstore.ClassNotFound, "there is no generation to go back to")
	// ErrInvalidRequest is returned for a request that makes no sense.
	ErrInvalidRequest = eventstore.NewError(eventstore.ClassInvalid, "invalid request")
)

// BusyError is returned for a request while another operation works on the projection. It matches
// ErrBusy.
type BusyError struct{ Operation Operation }

func (e *BusyError) Error() string {
	o := e.Operation
	state := "running"
	if o.Cancelling {
		state = "being cancelled, running"
	}
	return fmt.Sprintf("a %s is %s since %s (operation %s)", o.Kind, state, o.CreatedAt.Format(time.RFC3339), o.ID)
}

// Unwrap returns ErrBusy.
func (e *BusyError) Unwrap() error { return ErrBusy }

// Hint says how to get on.
func (e *BusyError) Hint() string {
	if e.Operation.Cancelling {
		return "try again in a moment"
	}
	return fmt.Sprintf("wait for it, or cancel it: `recount projections cancel %s`", e.Operation.ID)
}

// OperationError is why an operation failed, or that it was cancelled.
type OperationError struct{ Operation Operation }

func (e *OperationError) Error() string {
	o := e.Operation
	if o.State == OperationCancelled {
		return fmt.Sprintf("%s of projection %q: it was cancelled", o.Kind, o.Projection)
	}
	return fmt.Sprintf("%s of projection %q: %s", o.Kind, o.Projection, o.Error)
}

// Hint says how to get on; it may be empty.
func (e *OperationError) Hint() string { return e.Operation.Hint }
