package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/delivery/internal/core"
)

// lockedPartition is a partition that is locked.
type lockedPartition struct {
	partition int
	position  int64
	readTo    *int64
	owned     bool
	// filled is of a subscription that is pulled; 0: it is none.
	filled int64
}

var lockAllSQL = `
SELECT p.partition, p.position, p.read_to,
       EXISTS (SELECT FROM {schema}.subscription_members m WHERE m.id = p.member AND ` + alive + `), coalesce(p.filled, 0)
FROM {schema}.subscription_partitions p WHERE p.subscription = $1 ORDER BY p.partition FOR NO KEY UPDATE OF p`

// lockAll locks the partitions of a subscription whose row is locked.
func (r *records) lockAll(ctx context.Context, tx pgx.Tx, subscription int64) ([]lockedPartition, error) {
	// What the locks are waited for is read by the second statement.
	if _, err := tx.Exec(ctx, r.sql(lockAllSQL), subscription); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, r.sql(lockAllSQL), subscription)
	if err != nil {
		return nil, err
	}
	var all []lockedPartition
	for rows.Next() {
		var q lockedPartition
		if err := rows.Scan(&q.partition, &q.position, &q.readTo, &q.owned, &q.filled); err != nil {
			rows.Close()
			return nil, err
		}
		all = append(all, q)
	}
	return all, rows.Err()
}

// meet reports whether all partitions are at one position and nobody has one: then nothing is under way.
func meet(all []lockedPartition) bool {
	for _, q := range all {
		if q.owned || q.position != all[0].position {
			return false
		}
	}
	return true
}

const (
	// Who has them has them no longer.
	fenceAllSQL = `
UPDATE {schema}.subscription_partitions
SET epoch = nextval('{schema}.subscription_epochs'), member = NULL, read_to = NULL, report = NULL
WHERE subscription = $1`

	// The children of a partition are at its cursor.
	splitSQL = `
INSERT INTO {schema}.subscription_partitions (subscription, partition, revision, log_id, incarnation, position, last_event_at)
SELECT p.subscription, p.partition + n * $2::integer, p.revision, p.log_id, p.incarnation, p.position, p.last_event_at
FROM {schema}.subscription_partitions p, generate_series(1, $3::integer / $2::integer - 1) AS n
WHERE p.subscription = $1`

	splitStartsSQL = `
INSERT INTO {schema}.subscription_revision_starts (subscription, partition, revision, from_position)
SELECT s.subscription, s.partition + n * $2::integer, s.revision, s.from_position
FROM {schema}.subscription_revision_starts s, generate_series(1, $3::integer / $2::integer - 1) AS n
WHERE s.subscription = $1 AND s.partition < $2 ON CONFLICT DO NOTHING`

	// Rows are dealt to $2 partitions as core.PartitionOf does: the low bits of the first eight bytes of the hash are
	// those of the eighth.
	dealSQL = `
UPDATE {schema}.subscription_parked SET partition = get_byte(sha256(convert_to(key, 'UTF8')), 7) & ($2::integer - 1)
WHERE subscription = $1 AND partition <> get_byte(sha256(convert_to(key, 'UTF8')), 7) & ($2::integer - 1)`

	setPartitionsSQL = `UPDATE {schema}.subscriptions SET partitions = $2, halving_to = NULL, barrier = NULL WHERE id = $1`

	removePartitionsSQL = `DELETE FROM {schema}.subscription_partitions WHERE subscription = $1 AND partition >= $2`

	halveSQL = `UPDATE {schema}.subscriptions SET halving_to = $2, barrier = NULL WHERE id = $1`

	forgetReadSQL = `UPDATE {schema}.subscription_partitions SET read_to = NULL WHERE subscription = $1 AND read_to IS NOT NULL`

	barrierSQL = `UPDATE {schema}.subscriptions SET barrier = $2 WHERE id = $1`
)

// repartition gives a subscription that is locked another number of partitions: more at once; less when all have
// come to one position, which they begin to do.
func (r *records) repartition(ctx context.Context, tx pgx.Tx, s *found, n int, c *Change) error {
	all, err := r.lockAll(ctx, tx, s.id)
	if err != nil {
		return err
	}
	if s.halvingTo != 0 && s.halvingTo != n {
		c.effect("halving to %d partitions is cancelled", s.halvingTo)
	}
	b := &pgx.Batch{}
	switch {
	case n == s.halvingTo:
		return nil
	case n == s.partitions:
		b.Queue(r.sql(setPartitionsSQL), s.id, n)
		b.Queue(r.sql(forgetReadSQL), s.id)
	case n > s.partitions:
		c.effect("%d partitions become %d: each new one is at the cursor of the one that its keys were in; what is under way is delivered again", s.partitions, n)
		r.queueResize(b, s, n)
	case meet(all):
		c.effect("%d partitions become %d: all are at position %d", s.partitions, n, all[0].position)
		r.queueResize(b, s, n)
	default:
		c.effect("%d partitions become %d as soon as all have come to one position: they read no further than the furthest of them has read", s.partitions, n)
		if s.paused || s.failure != nil {
			c.effect("that waits until it is resumed")
		}
		b.Queue(r.sql(halveSQL), s.id, n)
		b.Queue(r.sql(forgetReadSQL), s.id)
	}
	return tx.SendBatch(ctx, b).Close()
}

// queueResize replaces partitions of which more are to be, or which have met.
func (r *records) queueResize(b *pgx.Batch, s *found, n int) {
	b.Queue(r.sql(fenceAllSQL), s.id)
	if n > s.partitions {
		b.Queue(r.sql(splitSQL), s.id, s.partitions, n)
		b.Queue(r.sql(splitStartsSQL), s.id, s.partitions, n)
	} else {
		b.Queue(r.sql(removePartitionsSQL), s.id, n)
	}
	b.Queue(r.sql(dealSQL), s.id, n)
	b.Queue(r.sql(setPartitionsSQL), s.id, n)
}

// halve takes a subscription that is to have less partitions a step further, if it is time: when all have said how far they
// have read, they get a barrier; when all are there, they are replaced. Any member may call it at any time.
func (r *records) halve(ctx context.Context, subscription int64) error {
	err := r.inTx(ctx, func(tx pgx.Tx) error {
		s := &found{id: subscription}
		var barrier *int64
		err := tx.QueryRow(ctx, r.sql(`SELECT partitions, coalesce(halving_to, 0), barrier FROM {schema}.subscriptions WHERE id = $1 FOR NO KEY UPDATE`),
			subscription).Scan(&s.partitions, &s.halvingTo, &barrier)
		if isNoRows(err) || err == nil && s.halvingTo == 0 {
			return nil
		}
		if err != nil {
			return err
		}
		all, err := r.lockAll(ctx, tx, subscription)
		if err != nil {
			return err
		}
		b := &pgx.Batch{}
		switch {
		case barrier == nil:
			var reads []int64
			for _, q := range all {
				if q.readTo == nil {
					return nil
				}
				reads = append(reads, max(*q.readTo, q.position))
			}
			b.Queue(r.sql(barrierSQL), subscription, core.Barrier(reads))
		case arrived(all, *barrier):
			r.queueResize(b, s, s.halvingTo)
		default:
			return nil
		}
		r.queueRaise(b)
		return tx.SendBatch(ctx, b).Close()
	})
	if err != nil {
		return fmt.Errorf("halve the partitions of subscription %d: %w", subscription, err)
	}
	return nil
}

func arrived(all []lockedPartition, barrier int64) bool {
	for _, q := range all {
		if q.position != barrier {
			return false
		}
	}
	return true
}

// changeKey lets a subscription go by another key if nothing is under way: cursors mean nothing under another one
// but where all are equal and nothing below waits.
func (r *records) changeKey(ctx context.Context, tx pgx.Tx, s *found, c *Change) error {
	all, err := r.lockAll(ctx, tx, s.id)
	if err != nil {
		return err
	}
	var waits bool
	err = tx.QueryRow(ctx, r.sql(`SELECT EXISTS (SELECT FROM {schema}.subscription_parked WHERE subscription = $1 AND (state <> 'dead' OR $2))`),
		s.id, s.definition.AfterDead == Hold).Scan(&waits)
	switch {
	case err != nil:
		return err
	case !meet(all) || waits:
		return fmt.Errorf("%w: partitions are at different positions, deliver, or have parked events, whose order would change; make a "+
			"subscription of another name, or give it one partition, let it deliver what is parked, pause it, and change the key then", ErrKeyChange)
	}
	c.effect("the key counts from position %d on, where all partitions are", all[0].position+1)
	_, err = tx.Exec(ctx, r.sql(fenceAllSQL), s.id)
	return err
}
