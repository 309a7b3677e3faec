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
SELECT log_id, incarnation, position FROM {schema}.projection_generations WHERE projection = $1 AND version = $2 AND serving`

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
		g, err := x.target(ctx)
		if isNoRows(err) { // a process took it back, and ended before it could say why
			err = &permanentError{err: errors.New("what it had built was taken back")}
		}
		return g, err
	}
	head, err := x.runner.config.Store.Head(ctx)
	if err == nil {
		head, err = keepsOf(x.worker.runs).buildUpTo(ctx, x.catalog, head)
	}
	if err != nil {
		return target{}, err
	}
	_, common, err := x.common(ctx)
	if err != nil {
		return target{}, err
	}
	err = x.inTx(ctx, func(tx pgx.Tx) error {
		g, err := x.choose(ctx, tx, head, common)
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
func (x *execution) choose(ctx context.Context, tx pgx.Tx, head eventstore.Token, common int64) (generation, error) {
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
	return g, x.copySkips(ctx, tx, present.number, g.number, common)
}

// everything is how much the rows that serve have in common with the present log if they are of it.
const everything = math.MaxInt64

// common returns where the rows that serve the version are, and up to which position they are of
// the present log. It reads the log, so no transaction may be open: with one connection for each
// process that wants to do so, all of them would wait for a second one.
func (x *execution) common(ctx context.Context) (at eventstore.Token, upTo int64, err error) {
	err = x.catalog.pool.QueryRow(ctx, x.catalog.sql(placeSQL), x.Operation.Subject, x.Operation.Version).Scan(&at.Log, &at.Incarnation, &at.Position)
	if isNoRows(err) {
		return at, everything, nil
	}
	if err == nil {
		err = x.inLog(ctx, at)
	}
	var changed *eventstore.LogChangedError
	if errors.As(err, &changed) {
		return at, changed.LastCommon, nil
	}
	return at, everything, err
}

// copySkips keeps out of a generation what an operator left out of another, up to a position:
// beyond what the logs of the two share, other events are there.
func (x *execution) copySkips(ctx context.Context, tx pgx.Tx, from, to int, upTo int64) error {
	_, err := tx.Exec(ctx, x.catalog.sql(copySkipsSQL), x.Operation.Subject, from, to, upTo)
	return err
}

func (cl *claim) target(ctx context.Context) (target, error) {
	t := target{generation: generation{projection: cl.Operation.Subject, table: tableName{schema: cl.catalog.schema}}}
	err := cl.catalog.pool.QueryRow(ctx, cl.catalog.sql(targetSQL), cl.Operation.Subject, cl.Operation.Generation).Scan(
		&t.number, &t.table.name, &t.built, &t.serving, &t.position,
		&t.checkpoint.Log, &t.checkpoint.Incarnation, &t.checkpoint.Position)
	return t, err
}
