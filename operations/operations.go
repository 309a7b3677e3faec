// Package operations keeps long work, such as the rebuild of a projection, in the database: what
// was asked for, who works on it, how far it is, and how it ended. It outlives the process that
// works on it: any other that can do the work goes on. One operation at a time works on a subject.
//
// What the kinds of operations do is up to the package whose subjects they are about (Work).
package operations

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// Kind is what an operation does.
type Kind string

// Request asks for an operation.
type Request struct {
	Kind Kind
	// Subject is the name of what it works on.
	Subject string
	// Version is that of the subject which the program must have that works on it.
	Version int
	Options Options
	// Detail is what the kind needs to know besides, a JSON object; nil: nothing.
	Detail json.RawMessage
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
	// MemoryBytes bounds what is in memory at once, as estimated: rows, and pages of the log on their
	// way to them. Rows that do not fit take another pass over the log; operations that read it
	// together share the memory. Default: 256 MiB. Minimum: 64 KiB.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// Verify compares what a rebuild has built with another fold of the log before it is shown.
	Verify bool `json:"verify,omitempty"`
	// Keep is how many generations that are no longer read a rebuild leaves, to roll back to.
	// Default: nil, which is 1.
	Keep *int `json:"keep,omitempty"`
	// Key is the row to repair: a key of one column as text, one of several as a JSON array.
	Key string `json:"key,omitempty"`
	// Reason is why somebody asks for it, for those who look later.
	Reason string `json:"reason,omitempty"`
}

const (
	// DefaultMemory is what MemoryBytes of 0 stands for.
	DefaultMemory = 256 << 20
	// MinMemory is the least that MemoryBytes may be.
	MinMemory = 64 << 10
	// MaxWorkers bounds Workers.
	MaxWorkers = 64
	maxKeep    = 100
)

func (o Options) check() error {
	switch {
	case o.Workers < 0 || o.Workers > MaxWorkers:
		return InvalidOption("workers", "is %d, it must be from 1 to %d, or 0 for the default", o.Workers, MaxWorkers)
	case o.Throttle < 0:
		return InvalidOption("throttle", "is %d events a second, it must be 1 or more, or 0 for none", o.Throttle)
	case o.MemoryBytes != 0 && o.MemoryBytes < MinMemory:
		return InvalidOption("memory_bytes", "is %d, it must be %d or more, or 0 for the default", o.MemoryBytes, MinMemory)
	case o.Keep != nil && (*o.Keep < 0 || *o.Keep > maxKeep):
		return InvalidOption("keep", "is %d generations, it must be from 0 to %d", *o.Keep, maxKeep)
	}
	return nil
}

// State is where an operation stands, or what the subject of some is doing, in a word or two.
type State string

const (
	// Running: a process works on it, or will as soon as there is one.
	Running State = "running"
	// Done: it has done what was asked for; Result has what there is to tell.
	Done State = "done"
	// Failed: it cannot go on for the reason in Error. What it had built is gone, except for the first
	// rows of a projection up to the event that stopped it.
	Failed State = "failed"
	// Cancelled: somebody cancelled it. What it had built is gone.
	Cancelled State = "cancelled"
)

// States are all that an operation may be in.
func States() []State { return []State{Running, Done, Failed, Cancelled} }

// Operation is long work on a subject. If the process that does it dies, any other that has the
// subject goes on.
type Operation struct {
	ID uuid.UUID `json:"id"`
	// SubjectKind and Subject say what it works on. Operations on projections alone are shown as they
	// are, and the name in JSON says so.
	SubjectKind string  `json:"-"`
	Subject     string  `json:"projection"`
	Kind        Kind    `json:"kind"`
	Version     int     `json:"version"`
	Options     Options `json:"options"`
	// Detail is that of the Request.
	Detail json.RawMessage `json:"-"`
	State  State           `json:"state"`
	// Cancelling says that somebody asked for its end.
	Cancelling bool `json:"cancelling,omitempty"`
	// Generation is the one of the subject that it works on, 0 while that is not decided.
	Generation int `json:"generation,omitempty"`
	// Owner names the process that works on it; empty: none does.
	Owner       string `json:"owner,omitempty"`
	RequestedBy string `json:"requested_by"`
	Progress
	// Trouble is what interrupted it last; it goes on.
	Trouble *Trouble `json:"trouble,omitempty"`
	// Result is what there is to tell about one that is done, by its kind.
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	// Reason is the code of what to do about Error, Hint the words of the program for it.
	Reason     Reason     `json:"reason,omitempty"`
	Hint       string     `json:"hint,omitempty"`
	CreatedAt  time.Time  `json:"created_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	FinishedAt *time.Time `json:"finished_at,omitempty"`
}

// Reason is the code of what to do about a failure; one that was written by an earlier version is a
// sentence.
type Reason string

// Hints returns the words of a program for a code, such as those of Reason, what it is about, and
// the schema of the log.
type Hints func(code, subject, schema string) string

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
	ErrBusy = eventstore.NewError(eventstore.ClassConflict, "another operation works on it")
	// ErrNotFound is returned for the id of no operation.
	ErrNotFound = eventstore.NewError(eventstore.ClassNotFound, "operation not found")
	// ErrInvalid is returned for a request that makes no sense.
	ErrInvalid = eventstore.NewError(eventstore.ClassInvalid, "invalid request")
	// ErrCancelled is why work ends that somebody cancelled.
	ErrCancelled = errors.New("the operation was cancelled")
)

// BusyError is returned for a request while another operation works on the subject. It matches
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

// EndedError is why an operation failed, or that it was cancelled.
type EndedError struct{ Operation Operation }

func (e *EndedError) Error() string {
	o := e.Operation
	if o.State == Cancelled {
		return fmt.Sprintf("%s of %s %q: it was cancelled", o.Kind, o.SubjectKind, o.Subject)
	}
	return fmt.Sprintf("%s of %s %q: %s", o.Kind, o.SubjectKind, o.Subject, o.Error)
}

// Hint says how to get on; it may be empty.
func (e *EndedError) Hint() string { return e.Operation.Hint }

// OptionError is returned for an option of a request that is missing or out of its bounds. It is an
// ErrInvalid.
type OptionError struct {
	// Option is its name in JSON.
	Option string
	// Reason says what it is, and what it must be.
	Reason string
}

// InvalidOption returns an *OptionError.
func InvalidOption(option, format string, args ...any) error {
	return &OptionError{option, fmt.Sprintf(format, args...)}
}

func (e *OptionError) Error() string { return "invalid request: " + e.Option + " " + e.Reason }

// Unwrap returns ErrInvalid.
func (e *OptionError) Unwrap() error { return ErrInvalid }

// InvalidField returns the JSON pointer of the option in the body of a request.
func (e *OptionError) InvalidField() (pointer, reason string) { return "/" + e.Option, e.Reason }
