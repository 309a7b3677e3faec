package projections

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

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
			err := x.complete(ctx, fold, g)
			if g.serving && isDataError(err) {
				return nil, x.fallBackToReplay(ctx, fold, g, err)
			}
			if err != nil {
				return nil, err
			}
			failpoint.Hit(failpoint.RebuildCompleted)
		}
		// Nothing says whether who built it came to this, so it is done again.
		if x.Operation.Options.Verify {
			if result, err = x.verifyBuilt(ctx, fold, g); err != nil {
				return result, err
			}
		}
	}
	x.seat.leave()
	if !g.serving {
		if err := x.takeOver(ctx, g); err != nil {
			return nil, err
		}
	}
	x.meter.Phase("removing old generations", 0, 0)
	return result, x.prune(ctx)
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
		x.meter.Buckets(bucketCount, bucketCount-len(todo))
		if err != nil || len(todo) == 0 {
			return err
		}
		if passes == 0 {
			before = len(todo)
		}
		x.meter.Pass("reading the log", 0, g.position, g.position*x.readingsAhead(passes, before-len(todo), len(todo)))
		pass := x.pass(ctx, g.position, skips)
		pass.buckets = bucketCount
		pass.want = func(bucket int) bool { _, found := slices.BinarySearch(todo, bucket); return found }
		_, err = fold.copyPass(ctx, pass, copyTarget{
			claim: x.claim, table: g.table, todo: todo,
			copied: x.meter.BucketsDone,
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
	if x.Operation.Options.Verify {
		n++
	}
	return int64(n)
}

// bucketsLeft returns the buckets that are not in the table yet, in order.
func (x *execution) bucketsLeft(ctx context.Context) ([]int, error) {
	rows, err := x.catalog.pool.Query(ctx, x.catalog.sql(bucketsDoneSQL), x.Operation.ID)
	if err != nil {
		return nil, err
	}
	done, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, err
	}
	var left []int
	for bucket := range bucketCount {
		if !slices.Contains(done, bucket) {
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
//
// It locks the table first, as an index needs it. Another transaction may still be at the same, one of a
// process whose connection was lost: if both read the table before, each would wait for the other.
func (x *execution) complete(ctx context.Context, fold bulk, g target) error {
	x.meter.Phase("indexing", 0, 0)
	lastEvent, err := lastEventAt(ctx, x.runner.config.Store, fold.types(), g.position)
	if err != nil {
		return err
	}
	return x.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `LOCK TABLE `+g.table.String()); err != nil {
			return err
		}
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

const builtEmptySQL = `
UPDATE {schema}.projection_generations SET built = true WHERE projection = $1 AND generation = $2 AND NOT built`

// fallBackToReplay makes of a generation whose rows fit no index, such as one with a value that is too long, an
// empty one that follows the log from its beginning: when the event is applied that makes such a row, the
// projection stops at it, and an operator can leave it out. It returns why.
func (x *execution) fallBackToReplay(ctx context.Context, fold bulk, g target, cause error) error {
	err := x.inTx(ctx, func(tx pgx.Tx) error {
		for _, ddl := range append([]string{"TRUNCATE " + g.table.String()}, fold.indexes(g.table)...) {
			if _, err := tx.Exec(ctx, ddl); err != nil {
				return fmt.Errorf("%s: %w", ddl, err)
			}
		}
		_, err := tx.Exec(ctx, x.catalog.sql(builtEmptySQL), g.projection, g.number)
		return err
	})
	if err != nil {
		// Not cause is what ends it: this may pass, or be a cancellation.
		return fmt.Errorf("begin to apply events one by one, since %v: %w", cause, err)
	}
	return &permanentError{cause, fmt.Sprintf(
		"the events are applied one by one now, which stops at the one that is the reason: see `recount projections show %s`", g.projection)}
}

func (x *execution) checkBuckets(ctx context.Context, tx pgx.Tx, g target) (events int64, digest []byte, err error) {
	rows, err := tx.Query(ctx, x.catalog.sql(bucketTotalsSQL), x.Operation.ID)
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
		return 0, nil, &permanentError{
			fmt.Errorf("passes over the log up to position %d did not find the same events", g.position),
			"check the log before anything else; then rebuild again"}
	}
	var there int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+g.table.String()).Scan(&there); err != nil {
		return 0, nil, err
	}
	if there != recorded {
		return 0, nil, &permanentError{
			fmt.Errorf("table %s has %d rows, %d were copied to it", g.table, there, recorded), "rebuild again"}
	}
	return events, digest, nil
}
