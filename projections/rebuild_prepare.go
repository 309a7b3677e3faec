package projections

import (
	"context"
	"errors"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// target is the generation that an operation works on.
type target struct {
	generation
	serving  bool
	position int64
	// checkpoint is where its rows are.
	checkpoint eventstore.Token
}

const (
	targetSQL = `
SELECT generation, table_name, built, serving, target, log_id, incarnation, position FROM {schema}.projection_generations
WHERE projection = $1 AND generation = $2`

	restartSQL = `
UPDATE {schema}.projection_generations
SET target = $3, log_id = $4, incarnation = $5,
    failed_at = NULL, failed_position = NULL, failed_event_id = NULL, failed_type = NULL, failed_stream = NULL,
    failure = NULL, failure_hint = NULL
WHERE projection = $1 AND generation = $2`

	placeSQL = `
SELECT log_id, incarnation, position FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2`

	copySkipsSQL = `
INSERT INTO {schema}.projection_skips (projection, generation, position, event_id, event_type, failure, reason, actor, at)
SELECT projection, $3, position, event_id, event_type, failure, reason, actor, at
FROM {schema}.projection_skips
WHERE projection = $1 AND generation = $2 AND position <= $4
  AND position > (SELECT position FROM {schema}.projection_generations WHERE projection = $1 AND generation = $3)
ON CONFLICT DO NOTHING`
)

// prepare returns the generation to build, which is made unless the operation has one.
func (x *execution) prepare(ctx context.Context) (target, error) {
	x.meter.Phase("preparing", 0, 0)
	if x.Operation.Generation != 0 {
		return x.target(ctx)
	}
	head, err := x.runner.config.Store.Head(ctx)
	if err != nil {
		return target{}, err
	}
	err = x.inTx(ctx, func(tx pgx.Tx) error {
		g, err := x.choose(ctx, tx, head)
		if err != nil {
			return err
		}
		return x.SetGeneration(ctx, tx, g.number)
	})
	if err != nil {
		return target{}, err
	}
	return x.target(ctx)
}

// choose returns the generation to build: a new one beside the one that serves the version, or that
// one if it has no rows yet.
func (x *execution) choose(ctx context.Context, tx pgx.Tx, head eventstore.Token) (generation, error) {
	p, runs := x.worker.projection, x.worker.runs
	_, isFold := runs.(bulk)
	if _, err := x.catalog.lock(ctx, tx, p.Name()); err != nil {
		return generation{}, err
	}
	present, err := x.catalog.serving(ctx, tx, p, runs)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return x.catalog.create(ctx, tx, head, p, runs, !isFold)
	case err != nil:
		return present, err
	case !present.built:
		// What an operation before this one left; nobody reads it.
		if _, err := tx.Exec(ctx, `TRUNCATE `+present.table.String()); err != nil {
			return present, err
		}
		_, err = tx.Exec(ctx, x.catalog.sql(restartSQL), p.Name(), present.number, head.Position, head.Log, head.Incarnation)
		return present, err
	}
	g, err := x.catalog.add(ctx, tx, head, p, runs, false, !isFold)
	if err != nil {
		return g, err
	}
	return g, x.copySkips(ctx, tx, present.number, g.number)
}

// copySkips keeps out of a generation what an operator left out of another. Of rows of another log that
// is only what the logs share: beyond it other events are at those positions.
func (x *execution) copySkips(ctx context.Context, tx pgx.Tx, from, to int) error {
	var at eventstore.Token
	err := tx.QueryRow(ctx, x.catalog.sql(placeSQL), x.Operation.Subject, from).Scan(&at.Log, &at.Incarnation, &at.Position)
	if err != nil {
		return err
	}
	upTo := int64(math.MaxInt64)
	var changed *eventstore.LogChangedError
	switch err := x.inLog(ctx, at); {
	case errors.As(err, &changed):
		upTo = changed.LastCommon
	case err != nil:
		return err
	}
	_, err = tx.Exec(ctx, x.catalog.sql(copySkipsSQL), x.Operation.Subject, from, to, upTo)
	return err
}

func (cl *claim) target(ctx context.Context) (target, error) {
	t := target{generation: generation{projection: cl.Operation.Subject, table: tableName{schema: cl.catalog.schema}}}
	err := cl.catalog.pool.QueryRow(ctx, cl.catalog.sql(targetSQL), cl.Operation.Subject, cl.Operation.Generation).Scan(
		&t.number, &t.table.name, &t.built, &t.serving, &t.position,
		&t.checkpoint.Log, &t.checkpoint.Incarnation, &t.checkpoint.Position)
	return t, err
}
