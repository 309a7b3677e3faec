package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// taken is a partition as its new owner finds it.
type taken struct {
	owned
	// Name, Definition and Revision are those of the subscription now: the partition delivers by them behind Position.
	Name       string
	Definition Definition
	Revision   int64
	// Unreadable is why this program does not know Definition, which a newer one may have written; nil: it does.
	Unreadable error
	// Needs is as in subscription.
	Needs string
	// Partitions is how many the subscription has.
	Partitions int
	Position   int64
	// Rows are those of events at or below Position that are not dead, by position; under Hold the dead ones
	// as well.
	Rows []parkedRow
	// Skips are positions above Position of events to leave out; nil: none.
	Skips map[int64]bool
	// HalvingTo and Barrier are as in subscription. ReadTo is how far it has read, if it has said so; else 0.
	HalvingTo       int
	Barrier, ReadTo int64
	// Replay, if not nil, is what the subscription is, and ReplayOf the id of whose.
	Replay   *Replay
	ReplayOf int64
}

const (
	// Rows that somebody else has at hand are left to them.
	lockPartitionsSQL = `
SELECT p.subscription, p.partition
FROM {schema}.subscription_partitions p
WHERE (p.subscription, p.partition) IN (SELECT * FROM unnest($1::bigint[], $2::integer[]))
ORDER BY p.subscription, p.partition FOR NO KEY UPDATE SKIP LOCKED`

	// Their members are looked at in a later statement: one may have joined and taken it since the other began.
	readPartitionsSQL = `
SELECT p.subscription, p.partition, p.position, p.revision, coalesce(p.read_to, 0),
       s.name, s.definition, s.needs, s.revision, s.partitions, coalesce(s.halving_to, 0), coalesce(s.barrier, 0),
       coalesce(s.replay_of, 0), coalesce(s.replay, '')
FROM {schema}.subscription_partitions p
JOIN unnest($3::bigint[], $4::integer[]) AS want (subscription, partition) USING (subscription, partition)
JOIN {schema}.subscriptions s ON s.id = p.subscription
WHERE p.log_id = $1 AND p.incarnation = $2 AND s.name IS NOT NULL AND s.desired = 'running' AND s.stopped_at IS NULL
AND NOT EXISTS (SELECT FROM {schema}.subscription_members m WHERE m.id = p.member AND m.id <> $5 AND ` + alive + `)
AND EXISTS (SELECT FROM {schema}.subscription_members m WHERE m.id = $5 AND ` + alive + `)
ORDER BY p.subscription, p.partition`

	takeSQL = `
UPDATE {schema}.subscription_partitions p
SET member = $3, epoch = nextval('{schema}.subscription_epochs'), moves = 0, revision = want.revision, trouble = NULL, trouble_at = NULL, report = NULL
FROM unnest($1::bigint[], $2::integer[], $4::bigint[]) AS want (subscription, partition, revision)
WHERE p.subscription = want.subscription AND p.partition = want.partition
RETURNING p.subscription, p.partition, p.epoch`

	revisionStartsSQL = `
INSERT INTO {schema}.subscription_revision_starts (subscription, partition, revision, from_position)
SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bigint[])
ON CONFLICT DO NOTHING`

	parkedColumns = `r.subscription, r.partition, r.position, r.key, r.state, r.attempts, r.charged, r.next_attempt_at,
       coalesce(r.class, ''), coalesce(r.error, ''), r.first_failed_at, r.last_failed_at, r.dead_at, r.redrive,
       coalesce(r.wanted, '')`

	rowsSQL = `
SELECT ` + parkedColumns + `
FROM unnest($1::bigint[], $2::integer[], $3::boolean[]) AS want (subscription, partition, hold)
CROSS JOIN LATERAL (
    SELECT * FROM {schema}.subscription_parked r
    WHERE r.subscription = want.subscription AND r.partition = want.partition AND (r.state <> 'dead' OR want.hold)
    ORDER BY r.position OFFSET 0) AS r`

	// Those of partitions are of resets: they are below the cursor.
	skipsSQL = `
SELECT subscription, from_position FROM {schema}.subscription_skips WHERE subscription = ANY($1) AND partitions = 0`
)

// take makes m the owner of those of the partitions that nobody has who is alive, or m itself has, and returns them.
// Each has an epoch that none had before.
func (r *records) take(ctx context.Context, m member, at eventstore.Token, want []partitionKey) (all []taken, err error) {
	err = r.inTx(ctx, func(tx pgx.Tx) error {
		all, err = r.takeIn(ctx, tx, m, at, want)
		return err
	})

	if err != nil {
		return nil, fmt.Errorf("take partitions as member %d: %w", m.ID, err)
	}
	return all, nil
}

func (r *records) takeIn(ctx context.Context, tx pgx.Tx, m member, at eventstore.Token, want []partitionKey) ([]taken, error) {
	if err := r.checkHome(ctx, tx, at); err != nil {
		return nil, err
	}
	locked, err := r.lockPartitions(ctx, tx, want)
	if err != nil || len(locked) == 0 {
		return nil, err
	}
	subscriptions, partitions, _ := columns(locked)
	rows, err := tx.Query(ctx, r.sql(readPartitionsSQL), at.Log, at.Incarnation, subscriptions, partitions, m.ID)
	if err != nil {
		return nil, err
	}
	var all []taken
	var before []int64
	var one taken
	var revision int64
	var text, replay string
	_, err = pgx.ForEachRow(rows, []any{&one.Subscription, &one.Partition, &one.Position, &revision, &one.ReadTo,
		&one.Name, &text, &one.Needs, &one.Revision, &one.Partitions, &one.HalvingTo, &one.Barrier, &one.ReplayOf, &replay}, func() error {
		one.Definition, one.Unreadable = parseStored(text)
		if one.Replay = nil; one.ReplayOf != 0 {
			one.Replay = new(Replay)
			one.Unreadable = errors.Join(one.Unreadable, json.Unmarshal([]byte(replay), one.Replay))
		}
		all, before = append(all, one), append(before, revision)
		return nil
	})
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return all, r.takeLocked(ctx, tx, m, all, before)
}

// takeLocked gives partitions that are locked an epoch, and reads their rows. Before has the revisions that they delivered
// by.
func (r *records) takeLocked(ctx context.Context, tx pgx.Tx, m member, all []taken, before []int64) error {
	index := make(map[partitionKey]*taken, len(all))
	var subscriptions, revisions []int64
	var partitions []int32
	var holds []bool
	var starts revisionStarts
	for i := range all {
		t := &all[i]
		index[t.partitionKey] = t
		subscriptions, partitions, revisions = append(subscriptions, t.Subscription), append(partitions, int32(t.Partition)), append(revisions, t.Revision)
		holds = append(holds, t.Definition.AfterDead == Hold)
		if t.Revision != before[i] {
			starts.add(t.partitionKey, t.Revision, t.Position+1)
		}
	}
	b := &pgx.Batch{}
	b.Queue(r.sql(takeSQL), subscriptions, partitions, m.ID, revisions).Query(func(rows pgx.Rows) error {
		var o owned
		_, err := pgx.ForEachRow(rows, []any{&o.Subscription, &o.Partition, &o.Epoch}, func() error {
			index[o.partitionKey].Epoch = o.Epoch
			return nil
		})
		return err
	})
	starts.queue(b, r)
	b.Queue(r.sql(rowsSQL), subscriptions, partitions, holds).Query(func(rows pgx.Rows) error {
		return eachRow(rows, func(k partitionKey, row wantedRow) { index[k].Rows = append(index[k].Rows, row.parkedRow) })
	})
	b.Queue(r.sql(skipsSQL), slices.Compact(slices.Clone(subscriptions))).Query(func(rows pgx.Rows) error { return readSkips(rows, all) })
	return tx.SendBatch(ctx, b).Close()
}

func readSkips(rows pgx.Rows, all []taken) error {
	var id, position int64
	_, err := pgx.ForEachRow(rows, []any{&id, &position}, func() error {
		for i := range all {
			if t := &all[i]; t.Subscription == id && position > t.Position {
				if t.Skips == nil {
					t.Skips = make(map[int64]bool)
				}
				t.Skips[position] = true
			}
		}
		return nil
	})
	return err
}

// checkHome returns an error that matches eventstore.ErrUnavailable if the database is not where the log of a token is
// written.
func (r *records) checkHome(ctx context.Context, tx pgx.Tx, at eventstore.Token) error {
	var home bool
	if err := tx.QueryRow(ctx, r.sql(`SELECT `+atHome), at.Log, at.Incarnation).Scan(&home); err != nil {
		return fmt.Errorf("look whose database this is: %w", err)
	}
	if !home {
		return fmt.Errorf("%w: %w: nothing is delivered until it is adopted", eventstore.ErrUnavailable, eventstore.ErrLogMoved)
	}
	return nil
}

func (r *records) lockPartitions(ctx context.Context, tx pgx.Tx, want []partitionKey) (locked []owned, err error) {
	subscriptions, partitions := keyColumns(want)
	rows, err := tx.Query(ctx, r.sql(lockPartitionsSQL), subscriptions, partitions)
	if err != nil {
		return nil, err
	}
	var o owned
	_, err = pgx.ForEachRow(rows, []any{&o.Subscription, &o.Partition}, func() error {
		locked = append(locked, o)
		return nil
	})
	return locked, err
}

// keyColumns turns keys of partitions into arrays.
func keyColumns(keys []partitionKey) (subscriptions []int64, partitions []int32) {
	for _, k := range keys {
		subscriptions, partitions = append(subscriptions, k.Subscription), append(partitions, int32(k.Partition))
	}
	return subscriptions, partitions
}

// revisionStarts are from where on partitions deliver by a revision.
type revisionStarts struct {
	subscriptions, revisions, from []int64
	partitions                     []int32
}

func (s *revisionStarts) add(k partitionKey, revision, from int64) {
	s.subscriptions, s.partitions = append(s.subscriptions, k.Subscription), append(s.partitions, int32(k.Partition))
	s.revisions, s.from = append(s.revisions, revision), append(s.from, from)
}

func (s *revisionStarts) queue(b *pgx.Batch, r *records) {
	if len(s.subscriptions) > 0 {
		b.Queue(r.sql(revisionStartsSQL), s.subscriptions, s.partitions, s.revisions, s.from)
	}
}

const giveBackSQL = `
WITH held AS (
    SELECT p.subscription, p.partition FROM {schema}.subscription_partitions p
    JOIN unnest($1::bigint[], $2::integer[], $3::bigint[]) AS own (subscription, partition, epoch) USING (subscription, partition)
    WHERE p.epoch = own.epoch ORDER BY p.subscription, p.partition FOR NO KEY UPDATE OF p)
UPDATE {schema}.subscription_partitions p SET member = NULL, report = NULL
FROM held JOIN unnest($1::bigint[], $2::integer[], $3::bigint[]) AS own (subscription, partition, epoch) USING (subscription, partition)
WHERE p.subscription = held.subscription AND p.partition = held.partition AND p.epoch = own.epoch`

// giveBack lets others have partitions, at once. What is not the caller's any more is no error.
func (r *records) giveBack(ctx context.Context, all []owned) error {
	subscriptions, partitions, epochs := columns(all)
	b := &pgx.Batch{}
	b.Queue(settings)
	b.Queue(r.sql(giveBackSQL), subscriptions, partitions, epochs)
	r.queueRaise(b)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("give partitions back: %w", err)
	}
	return nil
}

const letGoSQL = `
WITH held AS (
    SELECT p.subscription, p.partition FROM {schema}.subscription_partitions p
    JOIN unnest($1::bigint[], $2::integer[]) AS stray (subscription, partition) USING (subscription, partition)
    WHERE p.member = $3 ORDER BY p.subscription, p.partition FOR NO KEY UPDATE OF p)
UPDATE {schema}.subscription_partitions p SET member = NULL, report = NULL
FROM held WHERE p.subscription = held.subscription AND p.partition = held.partition AND p.member = $3`

// letGo is giveBack for partitions that are m's, and of which it does not know the epoch.
func (r *records) letGo(ctx context.Context, m member, strays []partitionKey) error {
	subscriptions, partitions := keyColumns(strays)
	b := &pgx.Batch{}
	b.Queue(settings)
	b.Queue(r.sql(letGoSQL), subscriptions, partitions, m.ID)
	r.queueRaise(b)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("let partitions go: %w", err)
	}
	return nil
}
