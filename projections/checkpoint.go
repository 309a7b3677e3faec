package projections

import (
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
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
	if failpoint.Planted(failpoint.CheckpointAhead) {
		c.token.Position++
	}
	for i := range events {
		if !failpoint.Planted(failpoint.DigestNotMoved) {
			c.digest = c.digest.Add(events[i].Position, events[i].ID)
		}
		c.events++
		c.lastEvent = &events[i].RecordedAt
	}
	return c
}

// moveSQL moves a checkpoint, if the lease is still the one that was given, the checkpoint still
// where it was and the projection not paused; else it ends the transaction. It also extends the
// lease.
//
// It comes last in its transaction: whoever wants to take over the lease waits for this row, and a
// process that freezes while it writes rows does not hold it.
const moveSQL = `
WITH moved AS (
    UPDATE {schema}.projection_generations
    SET log_id = $5, incarnation = $6, position = $7, events = $8, digest = $9, last_event_at = $10,
        lease_expires_at = clock_timestamp() + $11::interval, trouble = NULL, trouble_at = NULL
    WHERE projection = $1 AND generation = $2
      AND epoch = $3
      AND position = $4
      AND EXISTS (SELECT FROM {schema}.projections WHERE name = $1 AND desired = 'running')
    RETURNING 1
)
SELECT CASE WHEN count(*) = 0 THEN {schema}.projection_fenced() END FROM moved`

// fencedCode is the SQLSTATE of projection_fenced.
const fencedCode = "RC001"

func (l *lease) move(to checkpoint) statement {
	return statement{l.catalog.sql(moveSQL), []any{
		l.generation.projection, l.generation.number, l.epoch, l.checkpoint.token.Position,
		to.token.Log, to.token.Incarnation, to.token.Position, to.events, to.digest.Bytes(), to.lastEvent,
		l.ttl,
	}}
}
