package delivery

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	declareSQL = `
INSERT INTO {schema}.subscriptions (name, app, definition, needs, partitions, start_position, desired, created_by)
VALUES ($1, $2, $3, $4, $5, $6, CASE WHEN $7 THEN 'paused' ELSE 'running' END, $8)
ON CONFLICT (name) DO NOTHING RETURNING id`

	declareRevisionSQL = `INSERT INTO {schema}.subscription_revisions (subscription, revision, definition, made_by) VALUES ($1, 1, $2, $3)`

	declarePartitionsSQL = `
INSERT INTO {schema}.subscription_partitions (subscription, partition, log_id, incarnation, position)
SELECT $1, n, $2, $3, $4 FROM generate_series(0, $5 - 1) AS n`
)

// declare makes the subscriptions that the program declares and that are not there.
func (r *Runner) declare(ctx context.Context) error {
	for i := range r.config.Subscriptions {
		d, err := r.config.Subscriptions[i].definition(r.config.Codec).Checked()
		if err != nil {
			return err
		}
		if err := r.declareOne(ctx, d); err != nil {
			return fmt.Errorf("declare subscription %s: %w", d.Name, err)
		}
	}
	return nil
}

func (r *Runner) declareOne(ctx context.Context, d Definition) error {
	at, err := r.config.Store.Head(ctx)
	if err != nil {
		return err
	}
	position := at.Position
	switch {
	case d.Start.At == AtBeginning:
		position = 0
	case d.Start.Position > 0:
		position = d.Start.Position - 1
	}
	text, err := d.JSON()
	if err != nil {
		return err
	}
	return r.records.inTx(ctx, func(tx pgx.Tx) error {
		var id int64
		err := tx.QueryRow(ctx, r.records.sql(declareSQL), d.Name, r.config.App, string(text), d.Target.needs(), d.Partitions, position, d.Paused, r.process).Scan(&id)
		if isNoRows(err) {
			return nil
		}
		b := &pgx.Batch{}
		b.Queue(r.records.sql(declareRevisionSQL), id, string(text), r.process)
		b.Queue(r.records.sql(declarePartitionsSQL), id, at.Log, at.Incarnation, position, d.Partitions)
		r.records.queueRaise(b)
		if err == nil {
			err = tx.SendBatch(ctx, b).Close()
		}
		return err
	})
}
