package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/internal/core"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// Explain says what became of the event at a position.
func (a *Admin) Explain(ctx context.Context, name string, position int64) (Explanation, error) {
	var e eventstore.RecordedEvent
	f, err := a.records.find(ctx, a.records.pool, name, "")
	if err == nil {
		a = a.of(&f.definition)
		e, err = a.eventFrom(ctx, max(position, 1))
	}
	if errors.Is(err, errNoEvent) {
		err = nil
	}
	var x Explanation
	if err == nil {
		x, err = a.explain(ctx, name, position, &e)
	}
	if err != nil {
		return x, fmt.Errorf("explain position %d for subscription %q: %w", position, name, err)
	}
	return x, nil
}

// ExplainEvent says what became of the last event of the log that has an id, if it is among the last 500,000. The log is read from its end to
// find it.
func (a *Admin) ExplainEvent(ctx context.Context, name string, id uuid.UUID) (Explanation, error) {
	var e eventstore.RecordedEvent
	f, err := a.records.find(ctx, a.records.pool, name, "")
	if err == nil {
		a = a.of(&f.definition)
		e, err = a.eventByID(ctx, id)
	}
	if errors.Is(err, errNoEvent) {
		err = nil
	}
	var x Explanation
	if err == nil {
		x, err = a.explain(ctx, name, e.Position, &e)
	}
	if err != nil {
		return x, fmt.Errorf("explain event %s for subscription %q: %w", id, name, err)
	}
	if x.State == NotInLog {
		x.Text = fmt.Sprintf("none of the last %d events of the log is %s; of others give the position", a.searched, id)
	}
	return x, nil
}

func (a *Admin) explain(ctx context.Context, name string, position int64, e *eventstore.RecordedEvent) (x Explanation, err error) {
	x = Explanation{Subscription: name, Position: position}
	say := func(state ExplainedState, format string, args ...any) {
		x.State, x.Text = state, fmt.Sprintf(format, args...)
	}
	// Rows, the cursor and the rest as of one moment, or what is moved meanwhile would seem to be nowhere.
	s, err := a.status(ctx, name)
	if err != nil {
		return x, err
	}
	f, err := a.records.find(ctx, a.records.pool, name, "")
	switch {
	case err != nil:
		return x, err
	case len(s) == 0:
		return x, ErrNotFound
	case e.Position != position || position < 1:
		say(NotInLog, "%s has no event at position %d", f.definition.Source, position)
		return x, nil
	}
	x.EventID, x.Type, x.Stream, x.RecordedAt = &e.ID, e.Type, e.Stream, &e.RecordedAt
	if position <= f.start {
		say(BeforeStart, "it is before the start: the subscription begins behind position %d", f.start)
		return x, nil
	}
	if f.replayOf != 0 && position > f.replay.To {
		say(AfterEnd, "it is behind the end of the replay, at position %d", f.replay.To)
		return x, nil
	}
	if err := a.explainJudged(ctx, f, &s[0], e, &x, say); err != nil || x.State != "" {
		return x, err
	}
	q := x.Queue
	switch {
	case q.fresh && q.report.Read >= position || q.idle && q.read >= position:
		say(UnderWay, "process %s has read it: it is in flight, waits in a batch, or behind an event of its key that failed; %d attempts are in flight",
			q.Owner, q.InFlight)
		if len(q.Stuck) > 0 {
			x.Text += "; " + stuckText(q.Stuck)
		}
	default:
		a.explainNotRead(&s[0], q, &x, say)
	}
	return x, nil
}

const (
	skippedSQL = `
SELECT at, actor, CASE WHEN partitions = 0 THEN 'skip' ELSE 'reset' END, reason, partition, greatest(partitions, 1)
FROM {schema}.subscription_skips WHERE subscription = $1 AND from_position <= $2 AND to_position >= $2 ORDER BY at DESC`

	rowOfSQL = `
SELECT state, attempts, charged, next_attempt_at, coalesce(class, ''), coalesce(error, ''), first_failed_at, last_failed_at, dead_at, coalesce(wanted, ''), leased_at
FROM {schema}.subscription_parked WHERE subscription = $1 AND position = $2 AND ordinal = 0`

	behindSQL = `
SELECT coalesce(max(position), 0) FROM {schema}.subscription_parked
WHERE subscription = $1 AND partition = $2 AND key = $3 AND position < $4 AND (state <> 'dead' OR $5)`
)

// explainJudged says what follows from the event alone, its row and the cursor of its partition.
func (a *Admin) explainJudged(ctx context.Context, f *found, s *Status, e *eventstore.RecordedEvent, x *Explanation, say func(ExplainedState, string, ...any)) error {
	sel, err := newSelector(&f.definition)
	if err != nil {
		return err
	}
	x.Key = sel.keyOf(e)
	partition := core.PartitionOf(x.Key, f.partitions)
	x.Partition = &partition
	if partition >= len(s.Partitions) {
		return fmt.Errorf("%w: it has other partitions since; try again", eventstore.ErrUnavailable)
	}
	x.Queue = &s.Partitions[partition]
	var cursor int64
	var d Definition // by which it is judged
	// With one connection: whoever waits for a second while it has one waits for those who do the same.
	err = pgx.BeginTxFunc(ctx, a.records.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := a.explainSkipped(ctx, tx, f, e, x, say); err != nil || x.State != "" {
			return err
		}
		judged, err := a.records.judgedBy(ctx, tx, []int64{f.id}, []int{partition}, e.Position)
		if err != nil {
			return err
		}
		by, ok := judged[f.id]
		if !ok {
			return ErrNotFound // it was removed meanwhile
		}
		cursor = by.cursor
		if d, err = a.explainFilter(f, &by, e, x, say); err != nil || x.State != "" {
			return err
		}
		if x.Attempts, err = a.records.attempts(ctx, tx, f.id, e.Position); err != nil {
			return err
		}
		return a.explainRow(ctx, tx, f, e, x, say)
	})
	if err != nil || x.State != "" {
		return err
	}
	made, failed, err := a.transformed(ctx, &d, e)
	switch {
	case err != nil:
		return err
	case failed == nil && made == 0: // of what fails the row or the attempts tell
		sayDropped(x, say)
		return nil
	case e.Position > cursor:
		return nil
	}
	enriched, err := a.explainEnriched(ctx, &d, e)
	switch {
	case err != nil:
		return err
	case enriched.dropped:
		say(Dropped, "%s; it counts as delivered", enriched.text)
	default:
		was := "delivered"
		if enriched.depends && d.mayDrop() {
			was = "delivered, or dropped for want of what was looked up for it"
		}
		say(IsDelivered, "it was "+was+": the cursor of partition %d is at %d%s%s%s", partition, cursor, lastAttempt(x.Attempts), groupText(&f.definition, e), enriched.text)
	}
	return nil
}

// groupText says of which group an event is, if it is of one that is gathered.
func groupText(d *Definition, e *eventstore.RecordedEvent) string {
	if d.Target.Gather == nil {
		return ""
	}
	value, part, err := d.Target.Gather.Group(e)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("; it is part %q of instance %s of saga %s, whose messages say whether it was a duplicate or late", part, GroupID(d.Name, value), KindGather)
}

func lastAttempt(all []AttemptRecord) string {
	if len(all) == 0 {
		return ""
	}
	last := all[len(all)-1]
	return fmt.Sprintf("; the last attempt that is kept, %d at %s, was %s", last.Attempt, last.At.Format(time.RFC3339), last.Outcome)
}

func (a *Admin) explainSkipped(ctx context.Context, tx pgx.Tx, f *found, e *eventstore.RecordedEvent, x *Explanation, say func(ExplainedState, string, ...any)) error {
	rows, err := tx.Query(ctx, a.records.sql(skippedSQL), f.id, e.Position)
	if err != nil {
		return err
	}
	var by operations.AuditEntry
	var partition, of int
	_, err = pgx.ForEachRow(rows, []any{&by.At, &by.Actor, &by.Action, &by.Detail, &partition, &of}, func() error {
		if x.State == "" && core.PartitionOf(x.Key, of) == partition {
			by.At = by.At.UTC()
			x.Skipped = new(by)
			say(Skipped, "it was left out by a %s at %s: %s", by.Action, by.At.Format(time.RFC3339), by.Detail)
		}
		return nil
	})
	return err
}

func (a *Admin) explainRow(ctx context.Context, tx pgx.Tx, f *found, e *eventstore.RecordedEvent, x *Explanation, say func(ExplainedState, string, ...any)) error {
	var row ExplainedRow
	err := tx.QueryRow(ctx, a.records.sql(rowOfSQL), f.id, e.Position).Scan(&row.State, &row.Attempts, &row.Charged, &row.NextAttemptAt, &row.Class, &row.Error,
		&row.FirstFailedAt, &row.LastFailedAt, &row.DeadAt, &row.Wanted, &row.LeasedAt)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	x.Row = &row
	for _, t := range []*time.Time{row.NextAttemptAt, row.FirstFailedAt, row.LastFailedAt, row.DeadAt, row.LeasedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	if rowState(row.State) != dead {
		err := tx.QueryRow(ctx, a.records.sql(behindSQL), f.id, *x.Partition, x.Key, e.Position, f.definition.AfterDead == Hold).Scan(&x.Behind)
		if err != nil {
			return err
		}
	}
	switch {
	case rowState(row.State) == dead:
		say(IsDead, "it is a dead letter (%s) after %d attempts: %s", row.Class, row.Attempts, row.Error)
	case rowState(row.State) == leased:
		say(IsLeased, "a caller has it%s%s: it is attempt %d", at(" since it was handed out", row.LeasedAt), at(", and its lease ends", row.NextAttemptAt), row.Attempts)
	case rowState(row.State) == ready:
		say(IsReady, "the next who asks gets it; it was handed out %d times", row.Attempts)
	case rowState(row.State) == blocked && x.Behind == 0 && f.definition.Target.Pull != nil:
		say(IsBlocked, "it waits behind a later event of its key %q that a caller has", x.Key)
	case x.Behind > 0:
		say(IsBlocked, "it waits behind the event at position %d, which has its key %q", x.Behind, x.Key)
	default:
		next := "at once"
		if row.NextAttemptAt != nil {
			next = "at " + row.NextAttemptAt.Format(time.RFC3339)
		}
		if row.Attempts == 0 && row.LastFailedAt != nil {
			say(IsWaiting, "it was postponed, which counts as no failure%s, and is tried again %s: %s", at(", first", row.FirstFailedAt), next, row.Error)
			break
		}
		say(IsWaiting, "it failed %d times (%d of them count against it) and is tried again %s: %s", row.Attempts, row.Charged, next, row.Error)
	}
	if row.Wanted != "" {
		x.Text += "; an operator wants: " + row.Wanted
	}
	return nil
}

// explainNotRead says why nobody has read the event.
func (a *Admin) explainNotRead(s *Status, q *PartitionStatus, x *Explanation, say func(ExplainedState, string, ...any)) {
	because := func(why NotRead, format string, args ...any) {
		x.Why = why
		say(NotReadYet, "it is not read yet: "+format, args...)
	}
	why, text := s.heldBy()
	switch {
	case why != "":
		because(why, "%s", text)
	case s.Definition.Target.Pull != nil && !q.Pulled:
		because(BecauseNobodyAsks, "nobody asks for events")
	case q.Owner == "" && s.Definition.Target.Pull == nil && q.Trouble != nil:
		because(BecauseNoOwner, "no process has partition %d: %s", q.Partition, q.Trouble.Error)
	case q.Owner == "" && s.Definition.Target.Pull == nil:
		because(BecauseNoOwner, "no process has partition %d yet", q.Partition)
	case s.Definition.Target.Pull != nil && q.Trouble != nil:
		because(BecauseFull, "%s", q.Trouble.Error)
	case q.Breaker == "open":
		because(BecauseBreaker, "the target is taken for down%s", at("; it is tried next", q.NextProbe))
	case q.ThrottledUntil != nil:
		because(BecauseThrottled, "the target takes nothing%s", at(" before it is", q.ThrottledUntil))
	case len(q.Full) > 0:
		because(BecauseFull, "partition %d has as many parked events as it may, of keys %q", q.Partition, q.Full)
	case s.Halving != nil && s.Halving.Barrier > 0 && x.Position > s.Halving.Barrier:
		because(BecauseHalving, "the partitions meet at position %d to become %d; partitions %v are not there yet", s.Halving.Barrier, s.Halving.To, s.Halving.Missing)
	default:
		because(BecauseItIsItsTurn, "partition %d is at %d, %s", q.Partition, q.Position, q.eta(x.Position))
	}
}

// heldBy returns why the subscription gets nothing at all; "": it does, or that is not known.
func (s *Status) heldBy() (NotRead, string) {
	switch {
	case s.Failure != nil:
		return BecauseStopped, fmt.Sprintf("the subscription stopped at %s: %s", s.Failure.At.Format(time.RFC3339), s.Failure.Error)
	case s.Definition.Paused:
		return BecausePaused, "the subscription is paused"
	case s.NoMember:
		return BecauseNoMember, "no process that delivers can run its target"
	}
	return "", ""
}

func at(words string, t *time.Time) string {
	if t == nil {
		return ""
	}
	return words + " at " + t.UTC().Format(time.RFC3339)
}

// eta says when a position is passed, if it goes on as it does.
func (p *PartitionStatus) eta(position int64) string {
	left := position - p.Position
	if p.Rate == nil || *p.Rate <= 0 {
		return fmt.Sprintf("%d positions before it; it is not known how fast it goes on", left)
	}
	return fmt.Sprintf("%d positions before it; at %.0f a second that takes about %s", left, *p.Rate,
		time.Duration(float64(left) / *p.Rate * float64(time.Second)).Round(time.Second))
}
