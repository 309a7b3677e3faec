package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Resubmission is an event to append in the place of a dead letter.
type Resubmission struct {
	// Position is that of the dead letter.
	Position int64
	// Data is that of the new event. Default: that of the old one.
	Data []byte
	// Type and SchemaVersion are those of the new event. Default: those of the old one.
	Type          string
	SchemaVersion int
	// Allow lets the event be of a type that the program knows. Its aggregates and read models take the new event beside
	// the old one, so what they count, they count twice.
	Allow bool
	// Force appends an event that the program cannot read: its aggregates and read models stop there until one can.
	Force bool
	// Reason is why, and Actor who.
	Reason, Actor string
}

// supersedes is the member of the new event's metadata that names the old one.
type supersedes struct {
	Position     int64     `json:"position"`
	EventID      uuid.UUID `json:"event_id"`
	Subscription string    `json:"subscription"`
	Actor        string    `json:"actor,omitempty"`
	Reason       string    `json:"reason"`
}

// Resubmit appends an event to the stream of a dead letter, in its place, and removes the dead letter, both or neither. The
// metadata of the new event name the old one in the member supersedes. All subscriptions that want such an event
// get it.
//
// Errors: ErrNotFound, ErrNoDeadLetter, operations.ErrInvalid without a reason, and for an event that WithCodec refuses and
// neither Allow nor Force lets through, eventstore.ErrNotSupported for a log that
// is not in the database of the subscriptions, and for a subscription to a change feed, and those of Append.
func (a *Admin) Resubmit(ctx context.Context, name string, r Resubmission) (eventstore.Appended, error) {
	done, err := a.resubmit(ctx, name, r)
	if err != nil {
		return done, fmt.Errorf("resubmit position %d of subscription %q: %w", r.Position, name, err)
	}
	return done, nil
}

func (a *Admin) resubmit(ctx context.Context, name string, r Resubmission) (done eventstore.Appended, err error) {
	log, ok := a.log.(interface {
		AppendCommit(ctx context.Context, tx pgx.Tx, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error)
	})
	switch {
	case !ok:
		return done, eventstore.ErrNotSupported
	case r.Reason == "":
		return done, operations.InvalidOption("reason", "must say why")
	}
	s, err := a.records.find(ctx, a.records.pool, name, "")
	if err == nil && s.definition.Source.Changes != nil {
		err = fmt.Errorf("%w: what changed in a row is no event of the log", eventstore.ErrNotSupported)
	}
	if err != nil {
		return done, err
	}
	letter, err := a.deadLetter(ctx, name, r.Position)
	if err != nil {
		return done, err
	}
	event, err := superseding(&letter, name, r)
	if err != nil {
		return done, err
	}
	if err := a.judge(letter.Stream, event, r); err != nil {
		return done, err
	}
	tx, err := a.records.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return done, err
	}
	defer rollback(ctx, tx)
	if err := a.supersede(ctx, tx, name, &letter, event.ID, r); err != nil {
		return done, err
	}
	all, err := log.AppendCommit(ctx, tx, []eventstore.StreamAppend{{Stream: letter.Stream, Expected: eventstore.Any, Events: []eventstore.Event{event}}},
		eventstore.AppendOptions{})
	if err != nil {
		return done, err
	}
	return all[0], nil
}

// judge refuses an event that would do harm to the program's own aggregates and read models.
func (a *Admin) judge(stream string, e eventstore.Event, r Resubmission) error {
	if a.codec == nil {
		return nil
	}
	// Of other categories they pass over what they do not know.
	known := a.codec.Knows(e.Type)
	if !known && !slices.Contains(a.categories, eventstore.Category(stream)) {
		return nil
	}
	if _, err := a.codec.Decode(e); err != nil {
		if r.Force {
			return nil
		}
		option := "data"
		switch {
		case !known:
			option = "type"
		case a.codec.Check(e.Type, e.SchemaVersion) != nil:
			option = "schema_version"
		}
		return operations.InvalidOption(option, "makes an event that cannot be read, at which aggregates and read models would stop: %v", err)
	}
	if !r.Allow {
		return operations.InvalidOption("allow", "must say so: %s is an event of this program, whose aggregates and read models have had the old one and would take the new one too; "+
			"mend the receiver and redrive, or append a correction by a command and discard", e.Type)
	}
	return nil
}

// rollback ends a transaction that was not committed.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	// An error here means that the connection is gone, and the transaction with it.
	_ = tx.Rollback(ctx)
}

// superseding returns the new event.
func superseding(old *DeadLetterDetails, name string, r Resubmission) (eventstore.Event, error) {
	e := old.Event.Event
	e.ID = uuid.New()
	if r.Data != nil {
		e.Data = r.Data
	}
	if r.Type != "" {
		e.Type = r.Type
	}
	if r.SchemaVersion != 0 {
		e.SchemaVersion = r.SchemaVersion
	}
	members := make(map[string]jsontext.Value)
	if len(e.Metadata) > 0 {
		if err := json.Unmarshal(e.Metadata, &members); err != nil {
			return e, operations.InvalidOption("position", "is that of an event whose metadata are no JSON object: append the new event yourself and discard this one")
		}
	}
	text, err := json.Marshal(supersedes{old.Position, old.EventID, name, r.Actor, r.Reason})
	if err != nil {
		return e, err
	}
	members["supersedes"] = text
	e.Metadata, err = json.Marshal(members, json.Deterministic(true))
	return e, err
}

const (
	stillDeadSQL = `
SELECT EXISTS (SELECT FROM {schema}.subscription_parked WHERE subscription = $1 AND position = $2 AND ordinal = 0 AND state = 'dead' AND wanted IS NULL)`

	supersededSQL = `
INSERT INTO {schema}.subscription_attempts (subscription, position, attempt, at, took, outcome, charged, error, process)
VALUES ($1, $2, $3, now(), 0, 'superseded', false, $4, '')`
)

// supersede removes a dead letter in tx, for the new event that comes in its place.
func (a *Admin) supersede(ctx context.Context, tx pgx.Tx, name string, letter *DeadLetterDetails, by uuid.UUID, r Resubmission) error {
	b := &pgx.Batch{}
	b.Queue(settings)
	b.Queue(durableSQL)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	s, err := a.records.find(ctx, tx, name, "NO KEY UPDATE")
	if err != nil {
		return err
	}
	// The partition is locked: its owner is waited for.
	if _, err := a.records.lockAll(ctx, tx, s.id); err != nil {
		return err
	}
	var there bool
	if err := tx.QueryRow(ctx, a.records.sql(stillDeadSQL), s.id, letter.Position).Scan(&there); err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("%w any more, or something else is wanted of it", ErrNoDeadLetter)
	}
	detail := fmt.Sprintf("by event %s: %s", by, r.Reason)
	if _, err := tx.Exec(ctx, a.records.sql(supersededSQL), s.id, letter.Position, letter.Attempts+1, operations.SanitizeText(detail)); err != nil {
		return err
	}
	o := DeadOptions{Actor: r.Actor, Reason: "superseded " + detail}
	if err := a.wishFor(ctx, tx, s, wantDiscard, 0, []int64{letter.Position}, o); err != nil {
		return err
	}
	return a.records.raise(ctx, tx)
}
