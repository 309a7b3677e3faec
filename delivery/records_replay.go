package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/operations"
)

// kindReplay is an operation on a subscription.
const kindReplay operations.Kind = "replay"

const (
	subscriptions = "subscription"
	// maxReplays is how many operations of a kind a subject keeps.
	maxReplays = 100
)

// replayOperations are the operations that replays are. What is left of one that failed or was cancelled is its subscription.
func (r *records) replayOperations() *operations.Records {
	return operations.NewRecords(r.pool, r.schema, subscriptions, r.discardReplay, nil)
}

const (
	insertReplaySQL = `
INSERT INTO {schema}.subscriptions (id, name, app, definition, needs, partitions, start_position, created_by, replay_of, replay, operation, changes_of)
OVERRIDING SYSTEM VALUE
SELECT $1::bigint, $2::text, app, $3::text, $4::text, $5::integer, $6::bigint, $7::text, id, $8::text, $9::uuid, changes_of
FROM {schema}.subscriptions WHERE id = $10`

	// What an operator had left out for ever stays left out.
	copySkipsSQL = `
INSERT INTO {schema}.subscription_skips (subscription, from_position, to_position, reason, actor, at)
SELECT $1::bigint, from_position, to_position, reason, actor, at FROM {schema}.subscription_skips WHERE subscription = $2 AND partitions = 0`
)

// beginReplay makes the subscription and the operation that a replay is, of one that is locked.
func (a *Admin) beginReplay(ctx context.Context, tx pgx.Tx, s *found, r *Replay, at eventstore.Token) error {
	sql := a.records.sql
	var id int64
	err := tx.QueryRow(ctx, `SELECT nextval(pg_get_serial_sequence($1, 'id'))`, pgsql.Name(a.records.schema, "subscriptions")).Scan(&id)
	if err != nil {
		return err
	}
	r.Name, r.State, r.Position = fmt.Sprintf("%s@%d", r.Subscription, id), operations.Running, at.Position
	detail, err := json.Marshal(r)
	if err != nil {
		return err
	}
	o, err := a.records.replayOperations().RequestIn(ctx, tx, operations.Request{Kind: kindReplay, Subject: r.Subscription, Version: int(s.revision), Detail: detail, Actor: r.RequestedBy})
	var busy *operations.BusyError
	if errors.As(err, &busy) {
		other, _ := replayOf(&busy.Operation, nil)
		return fmt.Errorf("%w: %s, since %s", ErrReplayRunning, other.Name, busy.Operation.CreatedAt.Format("2006-01-02 15:04:05Z"))
	}
	if err != nil {
		return err
	}
	d := r.definition(s.definition)
	text, err := stored(d)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	b.Queue(sql(insertReplaySQL), id, r.Name, text, d.needs(), d.Partitions, at.Position, r.RequestedBy, string(detail), o.ID, s.id)
	a.records.queueCreate(b, id, at, d, text, r.RequestedBy)
	b.Queue(sql(copySkipsSQL), id, s.id)
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return err
	}
	return a.records.audit(ctx, tx, s, r.RequestedBy, "replay", fmt.Sprintf("%s: positions %d to %d: %s", r.Name, r.From, r.To, r.Reason))
}

// skipped returns the positions of events that an operator had left out for ever.
func (r *records) skipped(ctx context.Context, subscription int64) (map[int64]bool, error) {
	rows, err := r.pool.Query(ctx, r.sql(skipsSQL), []int64{subscription})
	if err != nil {
		return nil, err
	}
	of := []taken{{owned: owned{partitionKey: partitionKey{Subscription: subscription}}}}
	err = readSkips(rows, of)
	return of[0].Skips, err
}

// replayRow is what is known of the subscription that a replay is.
type replayRow struct {
	id                 int64
	name               string
	position           int64 // of the partition that is the furthest behind
	matched, delivered int64
	live, dead         int64 // rows
	waits              string
}

func (row *replayRow) fill(r *Replay) {
	r.Position, r.Matched, r.Delivered, r.Parked, r.Dead, r.Waits = min(row.position, r.To), row.matched, row.delivered, row.live, row.dead, row.waits
}

var replayRowsSQL = `
SELECT s.id, s.name, min(p.position), sum(p.matched)::bigint, sum(p.delivered)::bigint,
       (SELECT count(*) FROM {schema}.subscription_parked r WHERE r.subscription = s.id AND r.state <> 'dead'),
       (SELECT count(*) FROM {schema}.subscription_parked r WHERE r.subscription = s.id AND r.state = 'dead'),
       CASE WHEN s.stopped_at IS NOT NULL THEN concat('it has stopped', ' at position ' || s.stopped_position, ': ', s.failure)
            WHEN s.desired = 'paused' THEN 'it is paused'
            WHEN NOT EXISTS (SELECT FROM {schema}.subscription_members m WHERE m.app = s.app AND s.needs = ANY (m.can_run) AND s.id <> ALL (m.aside) AND ` + alive + `)
            THEN 'no process that delivers can run its target'
            ELSE coalesce(max(p.trouble), '') END
FROM {schema}.subscriptions s JOIN {schema}.subscription_partitions p ON p.subscription = s.id
WHERE %s GROUP BY s.id`

var (
	replaysOfSQL = fmt.Sprintf(replayRowsSQL, "s.replay_of = $1 AND s.name IS NOT NULL")
	replaysSQL   = fmt.Sprintf(replayRowsSQL, "s.replay_of IS NOT NULL AND s.name IS NOT NULL AND ($1 = '' OR s.app = $1)")
	replayRowSQL = fmt.Sprintf(replayRowsSQL, "s.replay_of IS NOT NULL AND s.name = $1")
)

// replaysOf returns the replays of a subscription that are there, by name.
func (r *records) replaysOf(ctx context.Context, subscription int64) (map[string]*replayRow, error) {
	return r.replayRows(ctx, replaysOfSQL, subscription)
}

func (r *records) replayRows(ctx context.Context, sql string, of any) (map[string]*replayRow, error) {
	rows, err := r.pool.Query(ctx, r.sql(sql), of)
	if err != nil {
		return nil, err
	}
	all := make(map[string]*replayRow)
	var one replayRow
	_, err = pgx.ForEachRow(rows, []any{&one.id, &one.name, &one.position, &one.matched, &one.delivered, &one.live, &one.dead, &one.waits}, func() error {
		row := one
		all[one.name] = &row
		return nil
	})
	return all, err
}

const (
	lockReplaySQL = `SELECT id FROM {schema}.subscriptions WHERE name = $1 AND replay_of IS NOT NULL FOR NO KEY UPDATE`

	lockReplaysOfSQL = `
SELECT id, operation FROM {schema}.subscriptions WHERE replay_of = $1 AND name IS NOT NULL ORDER BY id FOR NO KEY UPDATE`

	// Those whose events are all delivered, or decided on.
	endedReplaysSQL = `
SELECT s.name FROM {schema}.subscriptions s
WHERE s.replay_of IS NOT NULL AND s.name IS NOT NULL
AND NOT EXISTS (SELECT FROM {schema}.subscription_parked r WHERE r.subscription = s.id)
AND NOT EXISTS (SELECT FROM {schema}.operations o WHERE o.id = s.operation AND o.state = 'running')`
)

// bury frees the name of a subscription that is locked: nobody delivers for it any more, and what it has goes by and by.
func (r *records) bury(ctx context.Context, tx pgx.Tx, id int64) error {
	if _, err := r.lockAll(ctx, tx, id); err != nil {
		return err
	}
	b := &pgx.Batch{}
	b.Queue(r.sql(fenceAllSQL), id)
	b.Queue(r.sql(deleteSQL), id)
	return tx.SendBatch(ctx, b).Close()
}

// replayEnd is a replay that ends with its subscription.
type replayEnd struct {
	id        int64
	operation *uuid.UUID
}

// lockReplaysOf locks the replays of a subscription that is locked.
func (r *records) lockReplaysOf(ctx context.Context, tx pgx.Tx, subscription int64) ([]replayEnd, error) {
	rows, err := tx.Query(ctx, r.sql(lockReplaysOfSQL), subscription)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (e replayEnd, err error) {
		err = row.Scan(&e.id, &e.operation)
		return e, err
	})
}

// discardReplay ends the deliveries of a replay that was cancelled.
func (r *records) discardReplay(ctx context.Context, c *operations.Claim, _ operations.State, _ error) error {
	of, err := replayOf(&c.Operation, nil)
	if err != nil {
		return err
	}
	return r.buryReplay(ctx, of.Name)
}

func (r *records) buryReplay(ctx context.Context, name string) error {
	return r.inTx(ctx, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, r.sql(lockReplaySQL), name).Scan(&id)
		if isNoRows(err) {
			return nil
		}
		if err == nil {
			err = r.bury(ctx, tx, id)
		}
		if err != nil {
			return err
		}
		return r.raise(ctx, tx)
	})
}

// buryEndedReplays removes those that have ended and have no dead letters, or none any more.
func (r *records) buryEndedReplays(ctx context.Context) error {
	rows, err := r.pool.Query(ctx, r.sql(endedReplaysSQL))
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, name := range names {
		if err == nil {
			err = r.buryReplay(ctx, name)
		}
	}
	return err
}
