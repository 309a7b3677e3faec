package projections

import (
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/lease"
)

// checkpoint is how far a generation has come, and by which events.
type checkpoint struct {
	token  eventstore.Token
	events int64
	digest Digest
	// lastEvent is when the last event counted was recorded; nil: there is none.
	lastEvent *time.Time
}

// after returns the checkpoint behind events, at a place in the log.
func (c checkpoint) after(events []eventstore.RecordedEvent, at eventstore.Token) checkpoint {
	c.token = at
	for i := range events {
		c.digest = c.digest.Add(events[i].Position, events[i].ID)
		c.events++
		c.lastEvent = &events[i].RecordedAt
	}
	return c
}

// move moves the checkpoint, if the lease is still the one that was given, the checkpoint still where
// it was and the projection not paused; else it ends the transaction. It also extends the lease.
func (l *generationLease) move(to checkpoint) statement {
	sql, args := l.Fence(lease.Clause{
		Set: `log_id = $6, incarnation = $7, position = $8, events = $9, digest = $10, last_event_at = $11,
    trouble = NULL, trouble_at = NULL`,
		Where: `position = $5
AND EXISTS (SELECT FROM {schema}.projections WHERE name = $1 AND desired = 'running')`,
		Args: []any{
			l.checkpoint.token.Position,
			to.token.Log, to.token.Incarnation, to.token.Position, to.events, to.digest.Bytes(), to.lastEvent,
		},
	})
	return statement{sql, args}
}
