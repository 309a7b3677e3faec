package delivery

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// judgement is by what an event is judged for a subscription.
type judgement struct {
	// cursor is that of its partition.
	cursor int64
	// revision is the one that was in force at the place of an event that is at or below the cursor, and text its definition; 0: it is the newest.
	revision int64
	text     string
}

// What of a subscription that is pulled is behind the cursor has a row, or is acknowledged.
const judgedBySQL = `
SELECT p.subscription, coalesce(p.filled, p.position), coalesce(r.revision, 0), coalesce(r.definition, '')
FROM unnest($1::bigint[], $2::int[]) AS u (subscription, partition)
JOIN {schema}.subscription_partitions p USING (subscription, partition)
LEFT JOIN LATERAL (
    SELECT s.revision, r.definition
    FROM {schema}.subscription_revision_starts s JOIN {schema}.subscription_revisions r USING (subscription, revision)
    WHERE s.subscription = p.subscription AND s.partition = p.partition AND s.from_position <= $3 ORDER BY s.revision DESC LIMIT 1
) AS r ON coalesce(p.filled, p.position) >= $3`

// judgedBy returns by what the event at a position is judged for subscriptions, of each of which it is in a partition.
func (r *records) judgedBy(ctx context.Context, tx pgx.Tx, ids []int64, partitions []int, position int64) (map[int64]judgement, error) {
	rows, err := tx.Query(ctx, r.sql(judgedBySQL), ids, partitions, position)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]judgement, len(ids))
	var id int64
	var j judgement
	_, err = pgx.ForEachRow(rows, []any{&id, &j.cursor, &j.revision, &j.text}, func() error {
		all[id] = j
		return nil
	})
	return all, err
}

// explainFilter judges, and returns by what: the revision that was in force at the place of the event, the newest for one that is not judged yet.
func (a *Admin) explainFilter(f *found, by *judgement, e *eventstore.RecordedEvent, x *Explanation, say func(ExplainedState, string, ...any)) (Definition, error) {
	d := f.definition
	if x.Revision = f.revision; by.revision > 0 {
		var err error
		if d, err = parseStored(by.text); err != nil {
			return d, err
		}
		x.Revision = by.revision
	}
	sel, err := newSelector(&d)
	if err == nil {
		err = sel.narrow(f.replay.Filter)
	}
	if err != nil {
		return d, err
	}
	about := PatternEvent(e)
	sel.explain(&about, x, say)
	return d, nil
}

// explain says why a subscription does not want an event; nothing if it does.
func (s *selector) explain(about *pattern.Event, x *Explanation, say func(ExplainedState, string, ...any)) {
	explain := func(which string, p *pattern.Pattern) {
		if c := p.Explain(about).Clause; c != nil {
			x.Clause = c
			say(NotMatched, "the filter of %s does not match: %s must match %s, and there is %s", which, c.Pointer, c.Wanted, c.Found)
		}
	}
	switch {
	case s.pattern != nil:
		explain(fmt.Sprintf("revision %d", x.Revision), s.pattern)
	case isSystemType(about.Type):
		say(NotMatched, "it is an event of the store, whose types begin with '$': only a filter that names its type picks it")
	}
	if s.also != nil && x.State == "" {
		explain("the replay", s.also)
	}
}

func sayDropped(x *Explanation, say func(ExplainedState, string, ...any)) {
	say(Dropped, "the transform of revision %d makes nothing of it: it counts as delivered", x.Revision)
}

// transformed returns how many bodies a definition makes of an event, or why it fails; 1 if that depends on what is looked up for it.
func (a *Admin) transformed(ctx context.Context, d *Definition, e *eventstore.RecordedEvent) (made int, failed, err error) {
	if d.Transform == nil || d.Enrich != nil {
		return 1, nil, nil
	}
	head, err := a.log.Head(ctx)
	if err != nil {
		return 0, nil, err
	}
	target, err := prepare(d, nil, a.lookups)
	if err != nil {
		return 0, nil, err
	}
	all, failed := target.(*prepared).make(ctx, head, &Event{RecordedEvent: e, MessageID: MessageID(head.Log, e)}, time.Now())
	return len(all), failed, nil
}
