package delivery

import (
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/operations"
)

// Explanation says what became of an event, or is to become of it: the first thing that is true.
type Explanation struct {
	Subscription string         `json:"subscription"`
	State        ExplainedState `json:"state"`
	// Text says it in a sentence.
	Text string `json:"text"`
	// Position, EventID, Type and Stream are those of the event.
	Position   int64      `json:"position"`
	EventID    *uuid.UUID `json:"event_id,omitempty"`
	Type       string     `json:"type,omitempty"`
	Stream     string     `json:"stream,omitempty"`
	RecordedAt *time.Time `json:"recorded_at,omitempty"`
	// Key and Partition are those of the event, and Revision that of the definition that judges it.
	Key       string `json:"key,omitempty"`
	Partition *int   `json:"partition,omitempty"`
	Revision  int64  `json:"revision,omitempty"`
	// Clause is the part of the filter that it does not match.
	Clause *pattern.Clause `json:"clause,omitempty"`
	// Skipped is who had it left out, and why.
	Skipped *operations.AuditEntry `json:"skipped,omitempty"`
	// Row is what is parked of it, Behind the position of the event of its key that it waits for.
	Row    *ExplainedRow `json:"row,omitempty"`
	Behind int64         `json:"behind,omitempty"`
	// Attempts are those that are kept.
	Attempts []AttemptRecord `json:"attempts,omitempty"`
	// Queue is how its partition is.
	Queue *PartitionStatus `json:"queue,omitempty"`
	// Why is the code of why nobody reads it; empty: it is being read, or was.
	Why NotRead `json:"why,omitempty"`
}

// ExplainedState is what became of an event.
type ExplainedState string

// The states, in the order in which they are looked for.
const (
	NotInLog    ExplainedState = "not-in-log"
	BeforeStart ExplainedState = "before-start"
	// AfterEnd: it is behind the last that comes again in a replay.
	AfterEnd   ExplainedState = "after-end"
	Skipped    ExplainedState = "skipped"
	NotMatched ExplainedState = "not-matched"
	// Dropped: the transform makes nothing of it.
	Dropped   ExplainedState = "dropped"
	IsDead    ExplainedState = "dead"
	IsWaiting ExplainedState = "waiting"
	IsBlocked ExplainedState = "blocked"
	// IsReady: of a subscription that is pulled, the next who asks gets it. IsLeased: a caller has it.
	IsReady  ExplainedState = "ready"
	IsLeased ExplainedState = "leased"
	// IsDelivered: it is at or below the cursor and has no row.
	IsDelivered ExplainedState = "delivered"
	// UnderWay: its process has read it: it is in flight, waits in a batch, or behind one of its key.
	UnderWay ExplainedState = "under-way"
	// NotReadYet: see Why.
	NotReadYet ExplainedState = "not-read"
)

// The states that only a Route has.
const (
	// NotKnown: this program does not understand the definition.
	NotKnown ExplainedState = "not-known"
	// OtherSource: it gets no events of the log.
	OtherSource ExplainedState = "other-source"
	// IsMatched: it would get the event if it were on the log.
	IsMatched ExplainedState = "matched"
)

// NotRead is why an event is not read yet.
type NotRead string

// The reasons, in the order in which they are looked for.
const (
	BecausePaused      NotRead = "paused"
	BecauseStopped     NotRead = "stopped"
	BecauseNoMember    NotRead = "no-member"
	BecauseNoOwner     NotRead = "no-owner"
	BecauseNobodyAsks  NotRead = "nobody-asks"
	BecauseBreaker     NotRead = "breaker-open"
	BecauseThrottled   NotRead = "throttled"
	BecauseFull        NotRead = "full"
	BecauseHalving     NotRead = "halving"
	BecauseItIsItsTurn NotRead = "behind"
)

// ExplainedRow is what is parked of an event.
type ExplainedRow struct {
	State         string     `json:"state"`
	Attempts      int        `json:"attempts"`
	Charged       int        `json:"charged"`
	NextAttemptAt *time.Time `json:"next_attempt_at,omitempty"`
	Class         string     `json:"class,omitempty"`
	Error         string     `json:"error,omitempty"`
	FirstFailedAt *time.Time `json:"first_failed_at,omitempty"`
	LastFailedAt  *time.Time `json:"last_failed_at,omitempty"`
	DeadAt        *time.Time `json:"dead_at,omitempty"`
	Wanted        string     `json:"wanted,omitempty"`
	// LeasedAt is when a caller got it last. NextAttemptAt is until when it is the caller's while it has it.
	LeasedAt *time.Time `json:"leased_at,omitempty"`
}
