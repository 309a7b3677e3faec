package operations

import (
	"time"

	"github.com/google/uuid"
)

// What follows the log, a projection for one, is in one of these states, or Running or Failed, or
// in one that its package adds.
const (
	// CatchingUp: a process has it, and it is a second or more behind the log. Less is Running.
	CatchingUp State = "catching up"
	// Retrying: a process has it and cannot go on for the reason in Trouble, but tries.
	Retrying State = "retrying"
	// Paused: an operator paused it. It goes on when it is resumed.
	Paused State = "paused"
	// NoOwner: no process runs it.
	NoOwner State = "no owner"
	// Unreadable: the program that ran it stands aside before an event that it cannot read. A newer
	// one goes on by itself.
	Unreadable State = "unreadable"
)

// Desired is what an operator wants of a subject.
type Desired struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

// Trouble is why something does not get on at present, though it tries.
type Trouble struct {
	Error string    `json:"error"`
	At    time.Time `json:"at"`
}

// Failure is why a subject has stopped: until it is resumed, or the event is skipped.
type Failure struct {
	// Position, EventID, Type and Stream are those of the event; all zero if the log itself is the
	// reason.
	Position int64     `json:"position,omitempty"`
	EventID  uuid.UUID `json:"event_id,omitzero"`
	Type     string    `json:"type,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Error    string    `json:"error"`
	// Reason is the code of what to do about it, Hint the words of the program for it.
	Reason Reason    `json:"reason"`
	Hint   string    `json:"hint"`
	At     time.Time `json:"at"`
}

// Skip is an event that was left out of a subject.
type Skip struct {
	Position int64     `json:"position"`
	EventID  uuid.UUID `json:"event_id"`
	Type     string    `json:"type"`
	// Failure is the error that the subject had stopped with.
	Failure string    `json:"failure"`
	Reason  string    `json:"reason"`
	Actor   string    `json:"actor"`
	At      time.Time `json:"at"`
}

// AuditEntry is what an operator did with a subject.
type AuditEntry struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Action string    `json:"action"`
	Detail string    `json:"detail"`
}
