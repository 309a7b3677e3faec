package delivery

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Resent is what Resend did.
type Resent struct {
	Subscription string     `json:"subscription"`
	Position     int64      `json:"position"`
	Done         ResentDone `json:"done"`
	// Attempt is the one that was made.
	Attempt *AttemptRecord `json:"attempt,omitempty"`
}

// ResentDone is what Resend did.
type ResentDone string

// What it may do.
const (
	// Sent: the event had been delivered, and was sent once more, beside the others.
	Sent ResentDone = "sent"
	// Redriven: it was a dead letter, and is tried as by Redrive.
	Redriven ResentDone = "redriven"
	// Retried: it waited for its next attempt, and waits no more.
	Retried ResentDone = "retried"
)

// Resend lets the event at a position go out once more: through its partition if it is a dead letter or waits for its next
// attempt, and else to target, at once, out of order and marked as a redrive. That attempt is recorded; its failure is no error.
//
// Errors: ErrNotFound; operations.ErrInvalid for an event that the subscription does not pick, or that is on its way.
func (a *Admin) Resend(ctx context.Context, name string, position int64, target Target, actor string) (Resent, error) {
	done := Resent{Subscription: name, Position: position, Done: Sent}
	x, err := a.Explain(ctx, name, position)
	if err != nil {
		return done, err
	}
	switch x.State {
	case IsDead:
		done.Done = Redriven
		_, err = a.Redrive(ctx, name, DeadOptions{Filter: DeadFilter{Positions: []int64{position}}, Reason: "resend", Actor: actor})
		return done, err
	case IsWaiting:
		done.Done = Retried
		return done, a.RetryNow(ctx, name, position, actor)
	case IsDelivered, Skipped:
	default:
		return done, fmt.Errorf("resend an event of subscription %q: %w", name, operations.InvalidOption("position", "cannot be sent again: %s", x.Text))
	}
	f, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return done, err
	}
	e, err := a.of(&f.definition).eventFrom(ctx, position)
	if err != nil {
		return done, fmt.Errorf("read %s: %w", f.definition.Source, err)
	}
	if target, err = prepare(&f.definition, target, a.lookups); err != nil {
		return done, fmt.Errorf("resend an event of subscription %q: %w", name, err)
	}
	defer closeLookups(target)
	d := &Delivery{Partition: *x.Partition, Epoch: x.Queue.Epoch, Events: []Event{{RecordedEvent: &e, Key: x.Key, Redrive: true}}}
	if done.Attempt, err = a.send(ctx, name, d, target); err != nil {
		return done, err
	}
	return done, a.Note(context.WithoutCancel(ctx), name, "resend", fmt.Sprintf("position %d: %s", position, done.Attempt.Outcome), actor)
}

// Note keeps in the audit of a subscription what somebody has done that changes nothing of it.
//
// Errors: ErrNotFound.
func (a *Admin) Note(ctx context.Context, name, action, detail, actor string) error {
	return a.steer(ctx, action+" of", name, func(tx pgx.Tx, s *found) (bool, error) {
		return false, a.records.audit(ctx, tx, s, actor, action, detail)
	})
}

// TestType is the type of the event that SendTest sends.
const TestType = "webhook.test"

// SendTest sends an event that is not in the log to target: of the type TestType, of a stream of no other, at position 0. The
// attempt is recorded; its failure is no error.
//
// Errors: ErrNotFound.
func (a *Admin) SendTest(ctx context.Context, name string, target Target, actor string) (AttemptRecord, error) {
	data, err := json.Marshal(map[string]string{"subscription": name})
	if err != nil {
		return AttemptRecord{}, err
	}
	e := &eventstore.RecordedEvent{Stream: TestType + "-" + name, RecordedAt: eventstore.Microseconds(time.Now()),
		Event: eventstore.Event{ID: uuid.New(), Type: TestType, SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON, Data: data}}
	r, err := a.send(ctx, name, &Delivery{Events: []Event{{RecordedEvent: e, Key: e.Stream}}}, target)
	if err != nil {
		return AttemptRecord{}, err
	}
	return *r, a.Note(context.WithoutCancel(ctx), name, "test", r.Outcome, actor)
}

const lastAttemptSQL = `SELECT coalesce(max(attempt), 0) FROM {schema}.subscription_attempts WHERE subscription = $1 AND position = $2`

// send makes an attempt with one event, and records it.
func (a *Admin) send(ctx context.Context, name string, d *Delivery, target Target) (*AttemptRecord, error) {
	d.Subscription = name
	e := &d.Events[0]
	var made attempt
	err := func() error {
		s, err := a.records.find(ctx, a.records.pool, name, "")
		if err != nil {
			return err
		}
		head, err := a.log.Head(ctx)
		if err != nil {
			return err
		}
		e.MessageID = MessageID(head.Log, e.RecordedEvent)
		d.Log = eventstore.Token{Log: head.Log, Incarnation: head.Incarnation}
		if err := a.records.pool.QueryRow(ctx, a.records.sql(lastAttemptSQL), s.id, e.Position).Scan(&e.Attempt); err != nil {
			return err
		}
		e.Attempt++
		begun := time.Now()
		err = target.Deliver(ctx, d)
		outcome, _ := OutcomeOf(err)
		made = newAttempt(s.id, d, e, &core.Result{Outcome: coreOutcomes[outcome]}, begun, time.Since(begun), err)
		if err != nil {
			made.Class, made.Error = classOf(err), operations.SanitizeText(operations.WithDetail(err))
		}
		return a.records.recordAttempts(context.WithoutCancel(ctx), "api", []attempt{made})
	}()
	if err != nil {
		return nil, fmt.Errorf("send an event to subscription %q: %w", name, err)
	}
	return made.shown("api"), nil
}

const retryAllSQL = `
UPDATE {schema}.subscription_parked SET wanted = 'retry', wanted_by = $3
WHERE subscription = $1 AND state = 'waiting' AND wanted IS NULL AND first_failed_at >= $2`

// Recovered is what Recover has asked for.
type Recovered struct {
	Subscription string `json:"subscription"`
	// Redriven are dead letters that are tried again, Retried events that wait for their next attempt no longer.
	Redriven int64 `json:"redriven"`
	Retried  int64 `json:"retried"`
}

// Recover lets everything be tried again that has failed since a time: dead letters as by Redrive, and what waits for its next
// attempt at once.
//
// Errors: ErrNotFound; operations.ErrInvalid for the zero time.
func (a *Admin) Recover(ctx context.Context, name string, since time.Time, actor string) (Recovered, error) {
	done := Recovered{Subscription: name}
	if since.IsZero() {
		return done, fmt.Errorf("recover subscription %q: %w", name, operations.InvalidOption("since", "must be a time: what has failed since then is tried again"))
	}
	dead, err := a.Redrive(ctx, name, DeadOptions{Filter: DeadFilter{Since: since}, Reason: "recover", Actor: actor})
	if err != nil {
		return done, err
	}
	done.Redriven = dead.Count
	return done, a.steer(ctx, "recover", name, func(tx pgx.Tx, s *found) (bool, error) {
		if _, err := a.records.lockAll(ctx, tx, s.id); err != nil {
			return false, err
		}
		tag, err := tx.Exec(ctx, a.records.sql(retryAllSQL), s.id, since, operations.SanitizeText(actor))
		if err != nil {
			return false, err
		}
		done.Retried = tag.RowsAffected()
		return true, a.records.audit(ctx, tx, s, actor, "recover", fmt.Sprintf("since %s: %d dead letters, %d that waited", since.UTC().Format(time.RFC3339), done.Redriven, done.Retried))
	})
}
