package delivery

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
)

const (
	lockFeedSQL = `SELECT FROM {schema}.subscription_partitions WHERE subscription = $1 AND partition = 0 FOR NO KEY UPDATE`

	// All rows of the keys that are not dead: an acknowledgement that runs meanwhile would not see what is written here, and let
	// the next of its key be blocked for ever.
	lockKeysSQL = `
SELECT FROM {schema}.subscription_parked r
WHERE r.subscription = $1 AND r.ordinal = 0 AND r.position = ANY (ARRAY(
    SELECT live.position
    FROM unnest($2::text[]) AS k (key)
    CROSS JOIN LATERAL (
        SELECT l.position FROM {schema}.subscription_parked l
        WHERE l.subscription = $1 AND l.pulled AND l.key = k.key AND l.state <> 'dead' OFFSET 0) AS live))
ORDER BY r.position FOR UPDATE`

	// Which keys have such rows, or dead ones where those hold their key, once the locks are there.
	liveKeysSQL = `
SELECT k.key FROM unnest($2::text[]) AS k (key)
WHERE (SELECT 1 FROM {schema}.subscription_parked r
       WHERE r.subscription = $1 AND r.pulled AND r.key = k.key AND r.state <> 'dead' LIMIT 1) IS NOT NULL
OR $3 AND (SELECT 1 FROM {schema}.subscription_parked d
       WHERE d.subscription = $1 AND d.pulled AND d.key = k.key AND d.state = 'dead' LIMIT 1) IS NOT NULL`

	insertPulledSQL = `
INSERT INTO {schema}.subscription_parked (subscription, partition, pulled, position, key, state, attempts, token, leased_at, next_attempt_at)
SELECT $1::bigint, 0, true, w.position, w.key, CASE WHEN w.token IS NOT NULL THEN 'leased' WHEN w.blocked THEN 'blocked' ELSE 'ready' END,
       CASE WHEN w.token IS NULL THEN 0 ELSE 1 END, w.token::uuid,
       CASE WHEN w.token IS NOT NULL THEN now() END, CASE WHEN w.token IS NOT NULL THEN now() + w.lease * interval '1 second' END
FROM unnest($2::bigint[], $3::text[], $4::boolean[], $5::text[], $6::float8[]) AS w (position, key, blocked, token, lease)`

	fillSQL = `
UPDATE {schema}.subscription_partitions
SET filled = $2, matched = matched + $3, last_event_at = coalesce($4, last_event_at), revision = $5
WHERE subscription = $1 AND partition = 0`
)

// fill writes down events that match and what was found of them: all that match behind the feed up to a position. Those that
// nothing of their key is before go to who asks, until each has as many as it wants, or are ready; the others are blocked.
//
// The error is errMoved, with nothing done, if the feed is not as it was when it was read.
func (r *records) fill(ctx context.Context, rules *pullRules, was *pullFeed, events []offered, upto int64, asks []*pullAsk) error {
	return retryOnLocks(func() error {
		return r.onConn(ctx, func(c *pgxpool.Conn) error {
			live, now, err := r.lockKeys(ctx, c, rules, was, events)
			if err != nil {
				return err
			}
			b := &pgx.Batch{}
			var lastAt *time.Time
			if len(events) > 0 {
				lastAt = &events[len(events)-1].event.RecordedAt
				b.Queue(r.sql(insertPulledSQL), newRows(rules, live, now, events, asks)...)
			}
			b.Queue(r.sql(fillSQL), rules.id, upto, len(events), lastAt, was.Current)
			if was.Current != was.Revision {
				var starts revisionStarts
				starts.add(partitionKey{rules.id, 0}, was.Current, was.Filled+1)
				starts.queue(b, r)
			}
			b.Queue(`COMMIT`)
			return send(ctx, c, b)
		})
	})
}

// lockKeys locks the feed and the rows of the keys of events, and returns the keys that have rows.
func (r *records) lockKeys(ctx context.Context, c *pgxpool.Conn, rules *pullRules, was *pullFeed, events []offered) (live map[string]bool, now time.Time, err error) {
	keys := make([]string, len(events))
	for i := range events {
		keys[i] = events[i].key
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	live = make(map[string]bool)
	b := beginBatch()
	// One waits for it: who did not would sleep beside a backlog.
	b.Queue(r.sql(lockFeedSQL), rules.id)
	var feed pullFeed
	r.queueFeed(b, rules.id, &feed)
	home := false
	b.Queue(r.sql(`SELECT `+atHome), was.Log, was.Incarnation).QueryRow(func(row pgx.Row) error { return row.Scan(&home) })
	if len(keys) > 0 {
		b.Queue(r.sql(lockKeysSQL), rules.id, keys)
		b.Queue(r.sql(liveKeysSQL), rules.id, keys, rules.hold).Query(func(rows pgx.Rows) error {
			var key string
			_, err := pgx.ForEachRow(rows, []any{&key}, func() error {
				live[key] = true
				return nil
			})
			return err
		})
	}
	switch err := send(ctx, c, b); {
	case err != nil:
		return nil, now, err
	case !home:
		return nil, now, errNotHome
	case !feed.isAt(was), !feed.Running:
		return nil, now, errMoved
	}
	return live, feed.At, nil
}

// newRows returns the parameters of insertPulledSQL. Keys that have rows are in live, to which those of the events are added.
func newRows(rules *pullRules, live map[string]bool, now time.Time, events []offered, asks []*pullAsk) []any {
	n := len(events)
	positions, keys, blocks, tokens, leases := make([]int64, n), make([]string, n), make([]bool, n), make([]*string, n), make([]*float64, n)
	for _, a := range asks {
		a.token, a.rows = uuid.New(), nil
	}
	next := 0
	for i := range events {
		e := &events[i]
		positions[i], keys[i], blocks[i] = e.event.Position, e.key, live[e.key]
		live[e.key] = true
		// Several of a key are handed out when they are there.
		if blocks[i] || next == len(asks) || rules.perKey > 1 {
			continue
		}
		a := asks[next]
		tokens[i], leases[i] = new(a.token.String()), new(a.lease.Seconds())
		a.rows = append(a.rows, pulledRow{Position: e.event.Position, Key: e.key, State: leased, Token: a.token, Attempts: 1, LeasedAt: now, Deadline: now.Add(a.lease)})
		if len(a.rows) == a.max {
			next++
		}
	}
	return []any{rules.id, positions, keys, blocks, tokens, leases}
}

// pullPage is how many positions of the log are looked at before what was found is written down, pullRows how many of them
// may match.
const (
	pullPage = 10_000
	pullRows = 1000
)

// readMatches reads on behind a position, and returns what matches and up to where it has looked: no further than upto.
func readMatches(ctx context.Context, log eventstore.Reader, sel *selector, matches func(*eventstore.RecordedEvent) bool, behind, upto int64) (found []offered, looked int64, err error) {
	upto = min(upto, behind+pullPage)
	o := eventstore.ReadOptions{From: behind + 1, PageSize: pullRows}
	if sel.pattern != nil {
		o.Filter = eventstore.Filter{Types: sel.pattern.Types(), Categories: sel.pattern.Categories()}
	}
	looked = behind
	size := 0
	for b, err := range log.Subscribe(ctx, o) {
		if err != nil {
			return nil, behind, fmt.Errorf("read the log: %w", err)
		}
		for i := range b.Events {
			e := &b.Events[i]
			if e.Position > upto || len(found) == pullRows || size > maxPullBytes {
				return found, looked, nil
			}
			if looked = e.Position; matches(e) {
				found, size = append(found, offered{e, sel.keyOf(e)}), size+e.Size()
			}
		}
		if looked = min(b.Next-1, upto); looked == upto || len(found) == pullRows {
			break
		}
	}
	return found, looked, ctx.Err()
}
