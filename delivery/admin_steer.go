package delivery

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

const desiredSQL = `UPDATE {schema}.subscriptions SET desired = $2, updated_at = clock_timestamp() WHERE id = $1`

// Pause stops a subscription, in all processes, until it is resumed. What is under way ends. Pausing twice is no error.
func (a *Admin) Pause(ctx context.Context, name, actor string) error {
	return a.SetPaused(ctx, name, true, "", actor)
}

const resumeSQL = `
UPDATE {schema}.subscriptions
SET desired = 'running', stopped_at = NULL, stopped_position = NULL, failure = NULL, failure_reason = NULL, updated_at = clock_timestamp()
WHERE id = $1`

// Resume lets a subscription that is paused or has stopped deliver again. Resuming one that delivers is no error.
func (a *Admin) Resume(ctx context.Context, name, actor string) error {
	return a.SetPaused(ctx, name, false, "", actor)
}

// SetPaused is Pause, or Resume, for a reason that is kept.
func (a *Admin) SetPaused(ctx context.Context, name string, paused bool, reason, actor string) error {
	what, sql, args := "resume", resumeSQL, []any(nil)
	if paused {
		what, sql, args = "pause", desiredSQL, []any{"paused"}
	}
	return a.steer(ctx, what, name, func(tx pgx.Tx, s *found) (bool, error) {
		if s.paused == paused && (paused || s.failure == nil) {
			return false, nil
		}
		if _, err := tx.Exec(ctx, a.records.sql(sql), append([]any{s.id}, args...)...); err != nil {
			return false, err
		}
		return true, a.records.audit(ctx, tx, s, actor, what, reason)
	})
}

const (
	skipSQL = `
INSERT INTO {schema}.subscription_skips (subscription, from_position, to_position, reason, actor) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING`

	discardOneSQL = `DELETE FROM {schema}.subscription_parked WHERE subscription = $1 AND position = $2`
)

// Skip leaves the event that a subscription stopped on out of it, for ever, and lets it go on. Position, if it is not 0,
// must be that of the event, as a guard against skipping another than the one looked at.
//
// Errors: ErrNotFound, ErrNotStopped, operations.ErrInvalid for a reason that is empty.
func (a *Admin) Skip(ctx context.Context, name string, position int64, reason, actor string) (skipped int64, err error) {
	if reason == "" {
		return 0, fmt.Errorf("skip an event of subscription %q: %w", name, operations.InvalidOption("reason", "must say why"))
	}
	err = a.steer(ctx, "skip an event of", name, func(tx pgx.Tx, s *found) (bool, error) {
		switch {
		case s.failure == nil || s.failure.Position == 0:
			return false, ErrNotStopped
		case position != 0 && position != s.failure.Position:
			return false, fmt.Errorf("%w at position %d: it stopped at %d", ErrNotStopped, position, s.failure.Position)
		}
		skipped = s.failure.Position
		// Whoever has the partition learns of it when they take it anew.
		if _, err := a.records.lockAll(ctx, tx, s.id); err != nil {
			return false, err
		}
		b := &pgx.Batch{}
		b.Queue(a.records.sql(fenceAllSQL), s.id)
		b.Queue(a.records.sql(discardOneSQL), s.id, skipped)
		b.Queue(a.records.sql(skipSQL), s.id, skipped, skipped, operations.SanitizeText(reason), operations.SanitizeText(actor))
		b.Queue(a.records.sql(resumeSQL), s.id)
		if err := tx.SendBatch(ctx, b).Close(); err != nil {
			return false, err
		}
		return true, a.records.audit(ctx, tx, s, actor, "skip", fmt.Sprintf("position %d: %s", skipped, reason))
	})
	return skipped, err
}

// ResetOptions are the choices of Reset.
type ResetOptions struct {
	// To is where all partitions are to go on: with the first event that it says.
	To Start
	// DryRun says what would be done, counted in events, and does nothing.
	DryRun bool
	// Reason and Actor are kept with what was skipped or repeated.
	Reason, Actor string
}

// Reset is what Admin.Reset did, or would do.
type Reset struct {
	Subscription string `json:"subscription"`
	DryRun       bool   `json:"dry_run,omitzero"`
	// Position is where all partitions are then: the next event is behind it.
	Position int64 `json:"position"`
	// Lowest and Highest are the positions of the partitions before.
	Lowest  int64 `json:"lowest"`
	Highest int64 `json:"highest"`
	// Repeated and Skipped count events that match and come again, or are left out. Only a dry run counts; nil: not
	// counted.
	Repeated *int64 `json:"repeated,omitzero"`
	Skipped  *int64 `json:"skipped,omitzero"`
	// Parked and Dead are rows above Position, which are removed: their events come again.
	Parked int64 `json:"parked"`
	Dead   int64 `json:"dead"`
}

const (
	rowsAboveSQL = `
SELECT count(*) FILTER (WHERE state <> 'dead'), count(*) FILTER (WHERE state = 'dead')
FROM {schema}.subscription_parked WHERE subscription = $1 AND (position > $2 OR pulled AND state <> 'dead')`

	seekSQL = `
UPDATE {schema}.subscription_partitions p
SET epoch = nextval('{schema}.subscription_epochs'), member = NULL, read_to = NULL, report = NULL, trouble = NULL, trouble_at = NULL,
    position = $2::bigint, log_id = $3, incarnation = $4, revision = $5,
    filled = CASE WHEN filled IS NOT NULL THEN $2::bigint END
WHERE subscription = $1`

	// Revisions count from where they first were in force; what comes again is judged by the one of now.
	seekStartsSQL = `
WITH above AS (DELETE FROM {schema}.subscription_revision_starts WHERE subscription = $1 AND from_position > $2 + 1 AND revision <> $3)
INSERT INTO {schema}.subscription_revision_starts AS s (subscription, partition, revision, from_position)
SELECT subscription, partition, $3, $2 + 1 FROM {schema}.subscription_partitions WHERE subscription = $1
ON CONFLICT (subscription, partition, revision) DO UPDATE SET from_position = least(s.from_position, excluded.from_position)`

	// What of a subscription that is pulled is below is in the range that is skipped.
	removePulledSQL = `DELETE FROM {schema}.subscription_parked WHERE subscription = $1 AND pulled AND state <> 'dead'`

	removeAboveSQL = `DELETE FROM {schema}.subscription_parked WHERE subscription = $1 AND position > $2`

	unskipSQL = `
WITH above AS (DELETE FROM {schema}.subscription_skips WHERE subscription = $1 AND partitions > 0 AND from_position > $2)
UPDATE {schema}.subscription_skips SET to_position = $2 WHERE subscription = $1 AND from_position <= $2 AND to_position > $2`

	// Every partition skips what is between its cursor and the place.
	skipRangesSQL = `
INSERT INTO {schema}.subscription_skips (subscription, partition, partitions, from_position, to_position, reason, actor)
SELECT s.id, p.partition, s.partitions, p.position + 1, $2, $3, $4
FROM {schema}.subscriptions s JOIN {schema}.subscription_partitions p ON p.subscription = s.id
WHERE s.id = $1 AND p.position < $2
ON CONFLICT (subscription, partition, partitions, from_position) DO UPDATE
SET to_position = excluded.to_position, reason = excluded.reason, actor = excluded.actor, at = clock_timestamp()`

	rebeginSQL = `UPDATE {schema}.subscriptions SET barrier = NULL, start_position = least(start_position, $2) WHERE id = $1`
)

// Reset moves the cursors of all partitions to one place: events behind it come again, those before it that were not
// delivered are skipped, unless they are parked: of a subscription that is pulled, those that are not acknowledged. What is under way at the time may still reach the target.
//
// Errors: ErrNotFound; ErrIsReplay; *InvalidError for a place that is not in the log; operations.ErrInvalid for a reason that is empty.
func (a *Admin) Reset(ctx context.Context, name string, o ResetOptions) (Reset, error) {
	done := Reset{Subscription: name, DryRun: o.DryRun}
	if o.Reason == "" && !o.DryRun {
		return done, fmt.Errorf("reset subscription %q: %w", name, operations.InvalidOption("reason", "must say why"))
	}
	c := &checker{}
	if o.To == (Start{}) {
		c.wrong("/to", "must be %s", startForms)
	}
	c.start(&o.To)
	if len(c.mistakes) > 0 {
		return done, fmt.Errorf("reset subscription %q: %w", name, &InvalidError{name, startAt("/to", c.mistakes)})
	}
	f, err := a.records.find(ctx, a.records.pool, name, "")
	if err != nil {
		return done, fmt.Errorf("reset subscription %q: %w", name, err)
	}
	a = a.of(&f.definition)
	to, err := a.begin(ctx, Definition{Name: name, Start: o.To})
	if err == nil && to.err != nil {
		err = &InvalidError{name, startAt("/to", mistakesOf(to.err, ""))}
	}
	if err != nil {
		return done, fmt.Errorf("reset subscription %q: %w", name, err)
	}
	var before *found
	var queues []lockedPartition
	err = a.steer(ctx, "reset", name, func(tx pgx.Tx, s *found) (bool, error) {
		if s.replayOf != 0 {
			return false, fmt.Errorf("%w: end it and begin another", ErrIsReplay)
		}
		before = s
		if err := a.records.lockWindows(ctx, tx, s.id); err != nil {
			return false, err
		}
		all, err := a.records.lockAll(ctx, tx, s.id)
		if err != nil {
			return false, err
		}
		queues = all
		at := to.at
		if o.To.At == AtEnd { // read again, for the cursors may have moved until they were locked
			if at, err = a.log.Head(ctx); err != nil {
				return false, fmt.Errorf("read the log: %w", err)
			}
		}
		done.Position = at.Position
		done.Lowest, done.Highest = all[0].position, all[0].position
		for _, q := range all {
			done.Lowest, done.Highest = min(done.Lowest, q.position), max(done.Highest, q.position)
		}
		if s.definition.Target.Window != nil && done.Position > s.start && done.Position < done.Highest {
			return false, &InvalidError{name, []*FieldError{{"/to", fmt.Sprintf("must be position %d or before, where it began, or ahead of where it is: from in between windows would lack events",
				s.start+1)}}}
		}
		if err := tx.QueryRow(ctx, a.records.sql(rowsAboveSQL), s.id, done.Position).Scan(&done.Parked, &done.Dead); err != nil {
			return false, err
		}
		if o.DryRun {
			return false, errDryRun
		}
		return true, a.seek(ctx, tx, s, at, done, o)
	})
	if err == nil && o.DryRun {
		err = a.countReset(ctx, before, queues, &done)
	}
	return done, err
}

func (a *Admin) seek(ctx context.Context, tx pgx.Tx, s *found, at eventstore.Token, r Reset, o ResetOptions) error {
	sql := a.records.sql
	b := &pgx.Batch{}
	b.Queue(sql(rebeginSQL), s.id, at.Position)
	b.Queue(sql(skipRangesSQL), s.id, at.Position, operations.SanitizeText(o.Reason), operations.SanitizeText(o.Actor))
	b.Queue(sql(seekSQL), s.id, at.Position, at.Log, at.Incarnation, s.revision)
	b.Queue(sql(seekStartsSQL), s.id, at.Position, s.revision)
	b.Queue(sql(removePulledSQL), s.id)
	b.Queue(sql(removeAboveSQL), s.id, at.Position)
	b.Queue(sql(unskipSQL), s.id, at.Position)
	if at.Position < r.Highest {
		b.Queue(sql(resetWindowsSQL), s.id)
	}
	detail := fmt.Sprintf("to position %d: %s", at.Position, o.Reason)
	if r.Lowest < at.Position {
		detail += fmt.Sprintf("; skips what is not delivered of positions %d to %d", r.Lowest+1, at.Position)
	}
	if r.Highest > at.Position {
		detail += fmt.Sprintf("; repeats positions %d to %d", at.Position+1, r.Highest)
	}
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return a.records.audit(ctx, tx, s, o.Actor, "reset", detail)
}

const (
	deleteSQL = `UPDATE {schema}.subscriptions SET name = NULL, updated_at = clock_timestamp() WHERE id = $1`

	deadCountSQL = `SELECT count(*) FROM {schema}.subscription_parked WHERE subscription = $1 AND state = 'dead'`
)

// Delete removes a subscription, with its replays. Its name is free at once, and nobody delivers for it any more; what it has in
// the database goes by and by. One that has dead letters is removed only if force is set. A replay is cancelled by it.
//
// Errors: ErrNotFound, ErrHasDeadLetters, *RevisionError.
func (a *Admin) Delete(ctx context.Context, name string, ifRevision int64, force bool, actor string) error {
	var ends *uuid.UUID
	err := a.steer(ctx, "delete", name, func(tx pgx.Tx, s *found) (bool, error) {
		if ifRevision != 0 && ifRevision != s.revision {
			return false, &RevisionError{name, ifRevision, s.revision}
		}
		ends = s.operation
		return true, a.remove(ctx, tx, s, force, actor)
	})
	if err == nil && ends != nil {
		// Of one that ended long ago nothing is kept.
		if err = a.records.replayOperations().Cancel(ctx, *ends); errors.Is(err, operations.ErrNotFound) {
			err = nil
		}
	}
	return err
}

// Purge removes what subscriptions that were deleted have in the database, which processes that deliver do now and then.
func (a *Admin) Purge(ctx context.Context) error {
	if err := a.records.purgeDeleted(ctx); err != nil {
		return fmt.Errorf("remove what deleted subscriptions have left: %w", err)
	}
	return nil
}

// Members returns the processes that live and deliver, or would, whether there is anything for them or not.
func (a *Admin) Members(ctx context.Context) ([]string, error) {
	rows, err := a.records.pool.Query(ctx, a.records.sql(`SELECT m.process FROM {schema}.subscription_members m WHERE m.app = $1 AND `+alive+` ORDER BY m.id`), a.records.app)
	if err == nil {
		var all []string
		if all, err = pgx.CollectRows(rows, pgx.RowTo[string]); err == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("list those that deliver: %w", err)
}

func (a *Admin) remove(ctx context.Context, tx pgx.Tx, s *found, force bool, actor string) error {
	all, err := a.records.lockReplaysOf(ctx, tx, s.id)
	if err != nil {
		return err
	}
	all = append([]replayEnd{{s.id, s.operation}}, all...)
	var letters, n int64
	for _, one := range all {
		if err := a.records.bury(ctx, tx, one.id); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, a.records.sql(deadCountSQL), one.id).Scan(&n); err != nil {
			return err
		}
		letters += n
		if one.operation != nil {
			if _, err := a.records.replayOperations().RequestCancelIn(ctx, tx, *one.operation); err != nil {
				return err
			}
		}
	}
	if letters > 0 && !force {
		return fmt.Errorf("%w: %d; redrive or discard them, or delete it with them", ErrHasDeadLetters, letters)
	}
	detail := fmt.Sprintf("with %d dead letters", letters)
	if s.replayOf != 0 { // which is where its deliveries are looked for
		of := &found{id: s.replayOf, definition: s.definition}
		return a.records.audit(ctx, tx, of, actor, "delete", fmt.Sprintf("replay %s, %s", s.definition.Name, detail))
	}
	return a.records.audit(ctx, tx, s, actor, "delete", detail)
}

const auditOfSQL = `
SELECT at, actor, action, detail FROM {schema}.subscription_audit WHERE subscription = $1 ORDER BY at DESC LIMIT $2`

// Audit returns what operators did with a subscription, the last first.
func (a *Admin) Audit(ctx context.Context, name string, limit int) ([]operations.AuditEntry, error) {
	s, err := a.records.find(ctx, a.records.pool, name, "")
	var all []operations.AuditEntry
	if err == nil {
		var rows pgx.Rows
		if rows, err = a.records.pool.Query(ctx, a.records.sql(auditOfSQL), s.id, limit); err == nil {
			all, err = pgx.CollectRows(rows, pgx.RowToStructByPos[operations.AuditEntry])
		}
	}
	if err != nil {
		return nil, fmt.Errorf("list what was done with subscription %q: %w", name, err)
	}
	for i := range all {
		all[i].At = all[i].At.UTC()
	}
	return all, nil
}
