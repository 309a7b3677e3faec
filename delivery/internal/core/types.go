package core

import "time"

// Item is an event that matches.
type Item struct {
	Position int64
	// Key is by what events are kept in order; never empty.
	Key string
	// Size is what counts towards Config.MaxBytes.
	Size int
	// Event comes back with attempts as long as the event has no row. It may be nil.
	Event any
}

// State is that of a row.
type State string

// The states of rows of a subscription that is pushed.
const (
	// Waiting: for its next attempt.
	Waiting State = "waiting"
	// Blocked: behind one of its key, and never tried since.
	Blocked State = "blocked"
	// Dead: not tried again by itself.
	Dead State = "dead"
)

// Row is an event that is parked, as the database has it.
type Row struct {
	Position int64
	Key      string
	State    State
	// Attempts counts those that were made, Charged those of them that count against the event. Probes are not counted, nor are those that ended as
	// Throttled, Postponed, Gone, Stop or Undecodable.
	Attempts, Charged int
	// NextAttempt is zero if the row is not waiting. In rows that were read it is by the clock of this process.
	NextAttempt                     time.Time
	FirstFailed, LastFailed, DeadAt time.Time // zero: never
	// Class and Error are of the last failure. The class of what is dead is why: permanent, exhausted, expired.
	Class, Error string
	// Redrive: an operator had it tried again after it was dead.
	Redrive bool
	// New: the event failed for the first time since the row was written last. It is not of the database.
	New bool
	// Answered is the wish that was carried out since the row was written last: if the database has it still, it is to go.
	Answered Wish
}

// Why a row is dead.
const (
	ClassPermanent = "permanent"
	ClassExhausted = "exhausted"
	ClassExpired   = "expired"
)

// Retry says when an event is tried again that failed n times: after full jitter of First · Factor^(n-1), at
// most Cap.
type Retry struct {
	// MaxAttempts is how many attempts may be charged to an event: with the last it is dead.
	MaxAttempts int
	// MaxAge is how long after its first failure an event is dead when it fails.
	MaxAge     time.Duration
	First, Cap time.Duration
	Factor     float64
}

// Config is what of the definition of a subscription a partition goes by. All is required but the booleans, Wait,
// WindowBytes and MaxBytes (0: any).
type Config struct {
	// MaxInFlight bounds attempts that are in flight at once.
	MaxInFlight int
	// MaxParked is how many rows that are not dead there may be for the partition to read on.
	MaxParked int
	// Window bounds matching events between the cursor in the database and what was read, WindowBytes the size of those that
	// are in memory; one event may be larger.
	Window, WindowBytes int
	// MaxEvents and MaxBytes bound an attempt; one event may be larger. Wait is how long the first event waits
	// for others.
	MaxEvents, MaxBytes int
	Wait                time.Duration
	Retry               Retry
	// Hold: later events of a key that has a dead row wait behind it.
	Hold bool
	// Bisect: an attempt that failed as a whole is made again in halves.
	Bisect bool
	// Serial: one attempt at a time, and none while a move is under way, for handlers whose transaction moves the
	// cursor: two at once could commit out of order.
	Serial bool
	// Random returns a random number in [0, 1).
	Random func() float64
}

// Kind says why an attempt is made.
type Kind uint8

// The kinds of attempts.
const (
	// Fresh: events that have no row.
	Fresh Kind = iota
	// Again: events that have rows.
	Again
	// Probe: to see whether a target works again that was taken for down.
	Probe
)

// String returns the kind as one lower-case word.
func (k Kind) String() string { return [...]string{"fresh", "retry", "probe"}[k] }

// Attempt is one try to deliver some events. It is the partition's again after Ended.
type Attempt struct {
	Kind  Kind
	Began time.Time
	// Items are in order of position; events of one key are consecutive in its order. They are the caller's to
	// read until Ended.
	Items []AttemptItem

	serial uint64 // of the attempt or of the batch that it is a piece of
	since  uint64 // the breaker's count when it began
	slot   int    // in Partition.flights
	stuck  bool
	split  *split
}

// AttemptItem is an event in an attempt.
type AttemptItem struct {
	Position int64
	Key      string
	// Attempt counts those of the event from 1, as Row.Attempts does.
	Attempt int
	Redrive bool
	// Tried: an attempt before, counted or not, has not delivered it, as far as its owners know.
	Tried bool
	// Event is that of the Item; nil if the event has a row, and is to be read by its position.
	Event any

	ev     *event
	undone bool // not delivered, or behind one of its key that was not
}

// Outcome is what became of an event in an attempt.
type Outcome uint8

// The outcomes.
const (
	// Done: it is delivered.
	Done Outcome = iota
	// Transient: it failed and may succeed later.
	Transient
	// Permanent: it failed and would again.
	Permanent
	// Throttled: the target takes nothing for a time. The event did not fail.
	Throttled
	// Gone: the target wants no events any more; Stop: the subscription is to stop.
	Gone
	Stop
	// Undecodable: this program cannot read the event, and another may: the partition is to be given back.
	Undecodable
	// Unsendable: nobody was asked, the event itself is at fault. It is dead whatever the target does for others.
	Unsendable
	// Postponed: the event is to wait, by itself. Neither it nor the target has failed.
	Postponed
)

// String returns the outcome as one lower-case word.
func (o Outcome) String() string {
	return [...]string{"done", "transient", "permanent", "throttled", "gone", "stop", "undecodable", "unsendable", "postponed"}[o]
}

// counts reports whether an attempt that ended so is one of those that an event has had. The others came to nobody who could have failed.
func (o Outcome) counts() bool {
	return o == Done || o == Transient || o == Permanent || o == Unsendable
}

// Result is what became of an event in an attempt.
type Result struct {
	Outcome Outcome
	// Class and Error tell operators why; they go into the row as they are.
	Class, Error string
	// After is how long to wait as the target said, 0 if it did not. An event that is Postponed again and again waits longer.
	After time.Duration
	// Charged, First, Dead and Next are set by Ended. Charged: it counts against an event. First: it is the first failure of an event. Dead:
	// with it the event is dead. Next is when it is tried again.
	Charged, First, Dead bool
	Next                 time.Time
}

// Move is what the database is to be told, in one transaction with the comparison of the epoch.
type Move struct {
	// From is the cursor in the database, To what it is to be. They may be equal.
	From, To int64
	// Put are rows that are new or have changed, Remove positions of rows that are to go. Both are in order of
	// position, and none is above To.
	Put    []Row
	Remove []int64
	// Matched and Delivered are how many more events matched at or below To, and were delivered, than after the
	// last move.
	Matched, Delivered int64
}

// Wish is what an operator wants done with a row.
type Wish uint8

// The wishes.
const (
	NoWish Wish = iota
	// RetryNow: try a row that waits without waiting longer.
	RetryNow
	// Redrive: try a dead row again, as if it had never been tried.
	Redrive
	// Discard: forget the row. The event counts as neither delivered nor dead.
	Discard
)

// Halt is why a partition makes no attempts any more.
type Halt struct {
	// Outcome is Gone, Stop or Undecodable.
	Outcome      Outcome
	Position     int64
	Class, Error string
}

// Status is what a partition tells about itself.
type Status struct {
	// Cursor is the one in the database.
	Cursor, Read int64
	// Window is how many matching events are between them.
	Window   int
	InFlight int
	// Stuck are attempts in flight that should have ended.
	Stuck int
	// OldestInFlight is when the oldest attempt in flight began; zero: none is.
	OldestInFlight time.Time
	// Parked counts rows that are not dead.
	Parked int
	Full   bool
}
