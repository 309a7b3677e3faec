package projections

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/failpoint"
)

// bucketCount is into how many buckets a rebuild divides the key space: it can do with a memory of
// that part of the rows.
const bucketCount = 256

// rebuild builds a generation beside the present one and puts it in its place. Each step leaves in
// the database what the next one needs, so that another process can go on from there.
func (x *execution) rebuild(ctx context.Context) (result any, err error) {
	g, err := x.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	failpoint.Hit(failpoint.RebuildPrepared)
	if fold, ok := x.worker.runs.(bulk); ok {
		if !g.built {
			if err := x.copyAll(ctx, fold, g); err != nil {
				return nil, err
			}
			if err := x.complete(ctx, fold, g); err != nil {
				return nil, err
			}
			failpoint.Hit(failpoint.RebuildCompleted)
		}
		// Nothing says whether who built it came to this, so it is done again.
		if x.op.Options.Verify {
			if result, err = x.verifyBuilt(ctx, fold, g); err != nil {
				return result, err
			}
		}
	}
	if !g.serving {
		if err := x.takeOver(ctx, g); err != nil {
			return nil, err
		}
	}
	x.meter.phase("removing old generations", 0, 0)
	return result, x.prune(ctx)
}

// target is the generation that an operation works on.
type target struct {
	generation
	serving  bool
	position int64
}

const (
	targetSQL = `
SELECT generation, table_name, built, serving, target FROM {schema}.projection_generations
WHERE projection = $1 AND generation = $2`

	setGenerationSQL = `UPDATE {schema}.projection_operations SET generation = $2 WHERE id = $1`

	restartSQL = `
UPDATE {schema}.projection_generations
SET target = $3, log_id = $4, incarnation = $5,
    failed_at = NULL, failed_position = NULL, failed_event_id = NULL, failed_type = NULL, failed_stream = NULL,
    failure = NULL, failure_hint = NULL
WHERE projection = $1 AND generation = $2`

	// copySkipsSQL: what an operator left out of the rows stays out of them.
	copySkipsSQL = `
INSERT INTO {schema}.projection_skips (projection, generation, position, event_id, event_type, failure, reason, actor, at)
SELECT projection, $3, position, event_id, event_type, failure, reason, actor, at
FROM {schema}.projection_skips
WHERE projection = $1 AND generation = $2
  AND position > (SELECT position FROM {schema}.projection_generations WHERE projection = $1 AND generation = $3)
ON CONFLICT DO NOTHING`
)

// prepare returns the generation to build, which is made unless the operation has one.
func (x *execution) prepare(ctx context.Context) (target, error) {
	x.meter.phase("preparing", 0, 0)
	if x.op.Generation != 0 {
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
		x.op.Generation = g.number
		_, err = tx.Exec(ctx, x.catalog.sql(setGenerationSQL), x.op.ID, g.number)
		return err
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
	_, err = tx.Exec(ctx, x.catalog.sql(copySkipsSQL), p.Name(), present.number, g.number)
	return g, err
}

func (cl *claim) target(ctx context.Context) (target, error) {
	t := target{generation: generation{projection: cl.op.Projection, table: tableName{schema: cl.catalog.schema}}}
	err := cl.catalog.pool.QueryRow(ctx, cl.catalog.sql(targetSQL), cl.op.Projection, cl.op.Generation).Scan(
		&t.number, &t.table.name, &t.built, &t.serving, &t.position)
	return t, err
}

const bucketsDoneSQL = `SELECT bucket FROM {schema}.projection_buckets WHERE operation = $1`

// copyAll makes passes over the log until all buckets are in the table.
func (x *execution) copyAll(ctx context.Context, fold bulk, g target) error {
	skips, err := x.catalog.skipsUpTo(ctx, g.generation, g.position)
	if err != nil {
		return err
	}
	for passes, before := 0, 0; ; passes++ {
		todo, err := x.bucketsLeft(ctx)
		x.meter.buckets(bucketCount, bucketCount-len(todo))
		if err != nil || len(todo) == 0 {
			return err
		}
		if passes == 0 {
			before = len(todo)
		}
		x.meter.pass("reading the log", 0, g.position, g.position*x.readingsAhead(passes, before-len(todo), len(todo)))
		pass := x.pass(ctx, g.position, skips)
		pass.buckets = bucketCount
		pass.want = func(bucket int) bool { _, found := slices.BinarySearch(todo, bucket); return found }
		_, err = fold.copyPass(ctx, pass, copyTarget{
			claim: x.claim, table: g.table, todo: todo,
			copied: func(n int) { x.meter.bucketsDone(n); call(x.worker.hooks.afterCopy) },
		})
		if err != nil {
			return err
		}
	}
}

// readingsAhead is how often the log will be read after the next pass, if passes go on to do as many
// buckets as those that did done of them.
func (x *execution) readingsAhead(passes, done, todo int) int64 {
	n := 0
	if done > 0 {
		perPass := max(done/passes, 1)
		n = (todo+perPass-1)/perPass - 1
	}
	if x.op.Options.Verify {
		n++
	}
	return int64(n)
}

// bucketsLeft returns the buckets that are not in the table yet, in order.
func (x *execution) bucketsLeft(ctx context.Context) ([]int, error) {
	rows, err := x.catalog.pool.Query(ctx, x.catalog.sql(bucketsDoneSQL), x.op.ID)
	if err != nil {
		return nil, err
	}
	done, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, err
	}
	var left []int
	for bucket := range bucketCount {
		if !slices.Contains(done, bucket) || failpoint.Planted(failpoint.BucketTwice) {
			left = append(left, bucket)
		}
	}
	return left, nil
}

const (
	bucketTotalsSQL = `
SELECT events, digest, sum(rows)::bigint, count(*) FROM {schema}.projection_buckets
WHERE operation = $1 GROUP BY events, digest`

	builtSQL = `
UPDATE {schema}.projection_generations
SET built = true, position = target, events = $3, digest = $4, last_event_at = $5
WHERE projection = $1 AND generation = $2 AND NOT built`
)

// complete makes the indexes and moves the checkpoint to the target, in one transaction: nobody else
// uses the table yet. It makes sure that all buckets are there once, and are of the same events.
func (x *execution) complete(ctx context.Context, fold bulk, g target) error {
	x.meter.phase("indexing", 0, 0)
	lastEvent, err := lastEventAt(ctx, x.runner.config.Store, fold.types(), g.position)
	if err != nil {
		return err
	}
	return x.inTx(ctx, func(tx pgx.Tx) error {
		events, digest, err := x.checkBuckets(ctx, tx, g)
		if err != nil {
			return err
		}
		for _, ddl := range append(fold.indexes(g.table), "ANALYZE "+g.table.String()) {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return fmt.Errorf("%s: %w", ddl, err)
			}
		}
		failpoint.Hit(failpoint.RebuildIndexed)
		_, err = tx.Exec(ctx, x.catalog.sql(builtSQL), g.projection, g.number, events, digest, lastEvent)
		return err
	})
}

func (x *execution) checkBuckets(ctx context.Context, tx pgx.Tx, g target) (events int64, digest []byte, err error) {
	rows, err := tx.Query(ctx, x.catalog.sql(bucketTotalsSQL), x.op.ID)
	if err != nil {
		return 0, nil, err
	}
	var recorded, buckets, groups int64
	for rows.Next() {
		groups++
		if err := rows.Scan(&events, &digest, &recorded, &buckets); err != nil {
			return 0, nil, err
		}
	}
	if err := rows.Err(); err != nil {
		return 0, nil, err
	}
	if groups != 1 || buckets != bucketCount {
		return 0, nil, &lastError{
			fmt.Errorf("passes over the log up to position %d did not find the same events", g.position),
			"check the log before anything else; then rebuild again"}
	}
	var there int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+g.table.String()).Scan(&there); err != nil {
		return 0, nil, err
	}
	if there != recorded {
		return 0, nil, &lastError{
			fmt.Errorf("table %s has %d rows, %d were copied to it", g.table, there, recorded), "rebuild again"}
	}
	return events, digest, nil
}

// discard takes back what an operation has built that has failed or was cancelled. A generation that
// programs are waiting for stays, empty and with the failure, for another try.
func (cl *claim) discard(ctx context.Context, state OperationState, cause error) error {
	if cl.op.Kind != Rebuild || cl.op.Generation == 0 {
		return nil
	}
	g, err := cl.target(ctx)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	case g.serving && g.built:
		return nil // it took its place before
	case g.serving && state == OperationFailed:
		return (&lease{catalog: cl.catalog, generation: g.generation}).fail(ctx, cause)
	case g.serving:
		return nil
	}
	return cl.catalog.drop(ctx, g.generation)
}

const dropGenerationSQL = `
DELETE FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2 AND NOT serving`

// drop removes a generation that no program reads. It locks the table before the record, as a worker
// does that is on its last write to it and will be fenced: the other way round each would wait for the
// other.
func (c *catalog) drop(ctx context.Context, g generation) error {
	return c.inTx(ctx, func(tx pgx.Tx) error {
		var exists bool
		if err := tx.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, g.table.String()).Scan(&exists); err != nil {
			return err
		}
		if exists {
			if _, err := tx.Exec(ctx, `LOCK TABLE `+g.table.String()); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, c.sql(dropGenerationSQL), g.projection, g.number)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, `DROP TABLE IF EXISTS `+g.table.String())
		return err
	})
}

const oldGenerationsSQL = `
SELECT generation, table_name FROM {schema}.projection_generations g
WHERE projection = $1 AND retired_at IS NOT NULL AND NOT serving
  AND generation <> (SELECT live_generation FROM {schema}.projections WHERE name = $1)
ORDER BY retired_at DESC OFFSET $2`

// prune drops the generations beyond those to keep. One that somebody still reads is left to the
// next rebuild: a reader that comes too late for a table finds the generation in its place.
func (x *execution) prune(ctx context.Context) error {
	rows, err := x.catalog.pool.Query(ctx, x.catalog.sql(oldGenerationsSQL), x.op.Projection, x.op.Options.keep())
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (generation, error) {
		g := generation{projection: x.op.Projection, table: tableName{schema: x.catalog.schema}}
		return g, row.Scan(&g.number, &g.table.name)
	})
	if err != nil {
		return err
	}
	for _, g := range old {
		failpoint.Hit(failpoint.RebuildDropping)
		switch err := x.catalog.drop(ctx, g); {
		case hasCode(err, codeLockTimeout):
			x.worker.log.Warn().Int("generation", g.number).Msg("old generation is in use, the next rebuild will remove it")
		case err != nil:
			return fmt.Errorf("remove generation %d: %w", g.number, err)
		}
		failpoint.Hit(failpoint.RebuildDropped)
	}
	return nil
}

const codeLockTimeout = "55P03"
