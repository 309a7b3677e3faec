package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// member is a process that delivers. It leases itself, not its partitions, so internal/lease does not fit: that is
// for rows which are leased one by one.
type member struct {
	ID int64
	// Process is who it is, to operators.
	Process string
	// CanRun is what it can run, in the words of needs.
	CanRun []string
	// Aside are the ids of subscriptions that it leaves to others for a time, ascending.
	Aside []int64
}

const (
	joinSQL = `
INSERT INTO {schema}.subscription_members (app, process, can_run, expires_at)
VALUES ($1, $2, $3, now() + $4::interval) RETURNING id`

	// Those that are gone for longer than anybody could take them for alive.
	forgetMembersSQL = `
DELETE FROM {schema}.subscription_members WHERE id IN (
    SELECT id FROM {schema}.subscription_members
    WHERE expires_at NOT BETWEEN now() - interval '1 minute' AND now() + interval '2 minutes' ORDER BY id FOR UPDATE SKIP LOCKED)`

	renewSQL = `
UPDATE {schema}.subscription_members m SET expires_at = now() + $2::interval, read_to = $3
WHERE m.id = $1 AND ` + alive

	membersSQL = `
SELECT (SELECT n FROM {schema}.subscription_changes), m.id, m.process, m.can_run, m.aside
FROM {schema}.subscription_members m WHERE m.app = $1 AND ` + alive + ` ORDER BY m.id`

	leaveSQL = `DELETE FROM {schema}.subscription_members WHERE id = $1`
)

// join makes the process a member, with an id that none had before.
func (r *records) join(ctx context.Context, process string, canRun []string) (m member, err error) {
	m = member{Process: process, CanRun: canRun}
	err = r.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, r.sql(forgetMembersSQL)); err != nil {
			return err
		}
		return tx.QueryRow(ctx, r.sql(joinSQL), r.app, process, canRun, memberTTL).Scan(&m.ID)
	})
	if err != nil {
		return m, fmt.Errorf("join those that deliver: %w", err)
	}
	return m, nil
}

// renew keeps the member alive, says how far its feed has read, and returns the number of the last change and the members
// that are alive, by id. The error is errLost if it was too late: others may have its partitions. What it has is
// to be forgotten then, and it comes back with another id.
func (r *records) renew(ctx context.Context, m member, read int64) (changes int64, alive []member, err error) {
	b := &pgx.Batch{}
	b.Queue(lazySQL)
	var renewed bool
	b.Queue(r.sql(renewSQL), m.ID, memberTTL, read).Exec(func(tag pgconn.CommandTag) error {
		renewed = tag.RowsAffected() == 1
		return nil
	})
	b.Queue(r.sql(membersSQL), r.app).Query(func(rows pgx.Rows) error {
		var one member
		_, err := pgx.ForEachRow(rows, []any{&changes, &one.ID, &one.Process, &one.CanRun, &one.Aside}, func() error {
			alive = append(alive, one)
			one.CanRun, one.Aside = nil, nil
			return nil
		})
		return err
	})
	err = r.pool.SendBatch(ctx, b).Close()
	if err == nil && !renewed {
		err = errLost
	}
	if err != nil {
		return 0, nil, fmt.Errorf("renew member %d: %w", m.ID, err)
	}
	return changes, alive, nil
}

const asideSQL = `UPDATE {schema}.subscription_members SET aside = coalesce($2::bigint[], '{}') WHERE id = $1`

// setAside changes what the member leaves to others.
func (r *records) setAside(ctx context.Context, m member, subscriptions []int64) error {
	b := &pgx.Batch{}
	b.Queue(settings)
	b.Queue(r.sql(asideSQL), m.ID, subscriptions)
	r.queueRaise(b)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("say what member %d leaves to others: %w", m.ID, err)
	}
	return nil
}

// leave ends the member. What it has is free at once.
func (r *records) leave(ctx context.Context, m member) error {
	b := &pgx.Batch{}
	b.Queue(settings)
	b.Queue(r.sql(leaveSQL), m.ID)
	r.queueRaise(b)
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return fmt.Errorf("leave as member %d: %w", m.ID, err)
	}
	return nil
}

// subscription is what members know of all subscriptions of their app, whoever delivers them.
type subscription struct {
	ID       int64
	Name     string
	Revision int64
	// Needs is what of CanRun its members must have.
	Needs string
	// Running: it is neither paused nor stopped.
	Running bool
	// HalvingTo is how many partitions it is to have, when all have come to Barrier; 0: as many as it has. Barrier is 0 until
	// all have said how far they have read.
	HalvingTo int
	Barrier   int64
	// Members are the ids of the members that have its partitions, by partition; 0: nobody. They need not
	// be alive.
	Members []int64
}

const lookSQL = `
SELECT c.n, s.id, s.name, s.revision, s.needs, s.desired = 'running' AND s.stopped_at IS NULL, coalesce(s.halving_to, 0), coalesce(s.barrier, 0),
       ARRAY(SELECT coalesce(p.member, 0) FROM {schema}.subscription_partitions p WHERE p.subscription = s.id ORDER BY p.partition)
FROM {schema}.subscription_changes c
LEFT JOIN {schema}.subscriptions s ON s.app = $1 AND s.name IS NOT NULL
ORDER BY s.id`

// look returns all subscriptions of the app, by id, and the number of the last change that they have.
func (r *records) look(ctx context.Context) (changes int64, all []subscription, err error) {
	b := &pgx.Batch{}
	b.Queue(`SELECT set_config('jit', 'off', true)`)
	b.Queue(r.sql(lookSQL), r.app).Query(func(rows pgx.Rows) error {
		defer rows.Close()
		for rows.Next() {
			var id, revision *int64
			var name, needs *string
			var running *bool
			var s subscription
			if err := rows.Scan(&changes, &id, &name, &revision, &needs, &running, &s.HalvingTo, &s.Barrier, &s.Members); err != nil {
				return err
			}
			if id == nil {
				continue
			}
			s.ID, s.Name, s.Revision, s.Needs, s.Running = *id, *name, *revision, *needs, running != nil && *running
			all = append(all, s)
		}
		return rows.Err()
	})
	if err := r.pool.SendBatch(ctx, b).Close(); err != nil {
		return 0, nil, fmt.Errorf("look at the subscriptions: %w", err)
	}
	return changes, all, nil
}

const definitionSQL = `SELECT definition FROM {schema}.subscription_revisions WHERE subscription = $1 AND revision = $2`

// definition returns the definition that a revision of a subscription has.
func (r *records) definition(ctx context.Context, subscription, revision int64) (d Definition, err error) {
	var text string
	err = r.pool.QueryRow(ctx, r.sql(definitionSQL), subscription, revision).Scan(&text)
	if err == nil {
		d, err = parseStored(text)
	}
	if err != nil {
		return d, fmt.Errorf("read revision %d of subscription %d: %w", revision, subscription, err)
	}
	return d, nil
}
