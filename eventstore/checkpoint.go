package eventstore

import (
	"time"

	"github.com/google/uuid"
)

// Checkpoint is how far a reader of the log has come, and by which events.
type Checkpoint struct {
	Token Token
	Tally
	// LastEvent is when the last event counted was recorded; nil: there is none.
	LastEvent *time.Time
}

// After returns the checkpoint behind events, at a place in the log.
func (c Checkpoint) After(events []RecordedEvent, at Token) Checkpoint {
	c.Token = at
	for i := range events {
		c.Tally = c.Add(events[i].Position, events[i].ID)
		c.LastEvent = &events[i].RecordedAt
	}
	return c
}

// Tally says how many events were counted, and which.
type Tally struct {
	Events int64
	Digest Digest
}

// Add returns the tally with one event more.
func (t Tally) Add(position int64, id uuid.UUID) Tally {
	return Tally{t.Events + 1, t.Digest.Add(position, id)}
}

// Plus returns the tally of the events of both.
func (t Tally) Plus(other Tally) Tally {
	return Tally{t.Events + other.Events, t.Digest.Plus(other.Digest)}
}
