package projections

import (
	"cmp"
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
func (x *execution) rebuild(ctx context.Context) (any, error) {
	var verified *Verification
	g, err := x.prepare(ctx)
	if err != nil {
		return nil, fmt.Errorf("prepare: %w", err)
	}
	failpoint.Hit(failpoint.RebuildPrepared)
	if fold, ok := x.worker.runs.(bulk); ok {
		if !g.built {
			if err := x.build(ctx, fold, g); err != nil {
				return nil, err
			}
			failpoint.Hit(failpoint.RebuildCompleted)
		}
		// Nothing says whether who built it came to this, so it is done again.
		if x.Operation.Options.Verify {
			if verified, err = x.verifyBuilt(ctx, fold, g); err != nil {
				return &Rebuilt{Projection: g.projection, Generation: g.number, Verification: verified}, err
			}
		}
	}
	x.seat.leave()
	if !g.serving {
		if err := x.takeOver(ctx, g); err != nil {
			return nil, err
		}
	}
	done, err := x.outcome(ctx, g, verified)
	if err != nil {
		return nil, err
	}
	x.meter.Phase("removing old generations", 0, 0)
	return done, x.prune(ctx)
}

// Rebuilt is what a rebuild or a rollback came to.
type Rebuilt struct {
	Projection string `json:"projection"`
	// Generation is the one that programs of the version read now, Shown the one that the view shows:
	// another one if that is of a higher version.
	Generation int `json:"generation"`
	Shown      int `json:"shown"`
	// Position is how far its rows were. They were made of Events, of which an operator had Skipped
	// some.
	Position int64 `json:"position"`
	Rows     int64 `json:"rows"`
	Events   int64 `json:"events"`
	Skipped  int64 `json:"skipped"`
	// Seconds is how long it took since it was asked for.
	Seconds float64 `json:"seconds"`
	// Verification is that of the rows before they were shown, if it was asked for.
	Verification *Verification `json:"verification,omitempty"`
}

const outcomeSQL = `
SELECT p.live_generation, g.position, g.events,
       (SELECT count(*) FROM {schema}.projection_skips s
        WHERE s.projection = g.projection AND s.generation = g.generation AND s.position <= g.position),
       (SELECT extract(epoch FROM clock_timestamp() - o.created_at)::float8 FROM {schema}.operations o WHERE o.id = $3)
FROM {schema}.projections p JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE p.name = $1 AND g.generation = $2`

// outcome says what a generation is that has taken its place.
func (x *execution) outcome(ctx context.Context, g target, verified *Verification) (*Rebuilt, error) {
	done := &Rebuilt{Projection: g.projection, Generation: g.number, Verification: verified}
	err := x.catalog.pool.QueryRow(ctx, x.catalog.sql(outcomeSQL), g.projection, g.number, x.Operation.ID).Scan(
		&done.Shown, &done.Position, &done.Events, &done.Skipped, &done.Seconds)
	if err != nil {
		return nil, err
	}
	return done, x.catalog.pool.QueryRow(ctx, `SELECT count(*) FROM `+g.table.String()).Scan(&done.Rows)
}

// build copies all rows to the table and completes it. A first build that meets an event which
// cannot be applied keeps what comes before it, as a projection does that stops there, and returns
// why.
func (x *execution) build(ctx context.Context, fold bulk, g target) error {
	head, stopped := g.position, error(nil)
	for {
		err := x.copyAll(ctx, fold, g)
		if err == nil {
			break
		}
		var bad *eventError
		if !g.serving || isUnknownSchema(err) || !errors.As(err, &bad) {
			return err
		}
		stopped = err
		if g.position, err = x.positionBefore(ctx, bad.event); err != nil {
			return err
		}
		if err := x.buildUpTo(ctx, g); err != nil {
			return err
		}
	}
	err := x.complete(ctx, fold, g, head, stopped)
	if g.serving && isDataError(err) {
		return x.fallBackToReplay(ctx, fold, g, err)
	}
	return cmp.Or(err, stopped)
}

// positionBefore returns the position before the append that an event is of.
func (x *execution) positionBefore(ctx context.Context, e Recorded) (int64, error) {
	for before, err := range x.runner.config.Store.ReadAll(ctx, eventstore.ReadOptions{Backwards: true, From: e.Position - 1}) {
		if err != nil {
			return 0, fmt.Errorf("read the log: %w", err)
		}
		if before.AppendEnd != e.AppendEnd {
			return before.Position, nil
		}
	}
	return 0, nil
}

const (
	retargetSQL      = `UPDATE {schema}.projection_generations SET target = $3 WHERE projection = $1 AND generation = $2`
	forgetBucketsSQL = `DELETE FROM {schema}.projection_buckets WHERE operation = $1`
)

// buildUpTo begins to copy anew, up to the position of g.
func (x *execution) buildUpTo(ctx context.Context, g target) error {
	return x.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `TRUNCATE `+g.table.String()); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, x.catalog.sql(forgetBucketsSQL), x.Operation.ID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, x.catalog.sql(retargetSQL), g.projection, g.number, g.position)
		return err
	})
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

// readingsAhead is how often the log will be read after the next pass, if passes go on to do as
// many buckets as those that did done of them.
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
SET built = true, last_run_at = clock_timestamp(), position = target, target = greatest(target, $6), events = $3, digest = $4, last_event_at = $5
WHERE projection = $1 AND generation = $2 AND NOT built`
)

// complete makes the indexes and moves the checkpoint to the target, in one transaction: nobody
// else uses the table yet. It makes sure that all buckets are there once, and are of the same
// events. If an event stopped it before head, the projection stops there, too.
//
// It locks the table first, as an index needs it. Another transaction may still be at the same, one
// of a process whose connection was lost: if both read the table before, each would wait for the
// other.
func (x *execution) complete(ctx context.Context, fold bulk, g target, head int64, stopped error) error {
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
		if stopped != nil {
			if err := x.stop(ctx, tx, g.generation, stopped); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, x.catalog.sql(builtSQL), g.projection, g.number, events, digest, lastEvent, head)
		return err
	})
}

const builtEmptySQL = `
UPDATE {schema}.projection_generations SET built = true, last_run_at = clock_timestamp() WHERE projection = $1 AND generation = $2 AND NOT built`

// fallBackToReplay makes of a generation whose rows fit no index, such as one with a value that is
// too long, an empty one that follows the log from its beginning: when the event is applied that
// makes such a row, the projection stops at it, and an operator can leave it out. It returns why.
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
	return &permanentError{cause, ReasonReplaying}
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
			fmt.Errorf("passes over the log up to position %d did not find the same events", g.position), ReasonPassesDiffer}
	}
	var there int64
	if err := tx.QueryRow(ctx, `SELECT count(*) FROM `+g.table.String()).Scan(&there); err != nil {
		return 0, nil, err
	}
	if there != recorded {
		return 0, nil, &permanentError{
			fmt.Errorf("table %s has %d rows, %d were copied to it", g.table, there, recorded), ReasonCopyDiffers}
	}
	return events, digest, nil
}
