package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/lease"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/operations"
)

// discard takes back what an operation has built that has failed or was cancelled. A generation
// that programs are waiting for stays, empty and with the failure, for another try.
func (c *catalog) discard(ctx context.Context, held *operations.Claim, state operations.State, cause error) error {
	cl := &claim{held, c}
	if cl.Operation.Kind != Rebuild || cl.Operation.Generation == 0 {
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
	case g.serving && state == operations.Failed:
		return cl.stop(ctx, cl.catalog.pool, g.generation, cause)
	case g.serving:
		return nil
	}
	return cl.catalog.drop(ctx, g.generation)
}

const epochSQL = `SELECT epoch FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2`

// stop marks a generation that nobody has run yet as failed. Nobody takes its lease while it is not
// built.
func (cl *claim) stop(ctx context.Context, db querier, g generation, cause error) error {
	l := lease.Lease{Table: cl.catalog.generationTable(), Key: g.key()}
	if err := db.QueryRow(ctx, cl.catalog.sql(epochSQL), g.projection, g.number).Scan(&l.Epoch); err != nil {
		return err
	}
	return (&generationLease{Lease: l, catalog: cl.catalog, generation: g}).fail(ctx, db, cause)
}

const dropGenerationSQL = `
DELETE FROM {schema}.projection_generations WHERE projection = $1 AND generation = $2 AND NOT serving`

// drop removes a generation that no program reads. It locks the table before the record, as a
// worker does that is on its last write to it and will be fenced: the other way round each would
// wait for the other.
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

// keep returns how many generations are left to roll back to.
func keep(o operations.Options) int {
	if o.Keep == nil {
		return 1
	}
	return *o.Keep
}

// prune drops the generations beyond those to keep. One that somebody still reads is left to the
// next rebuild: a reader that comes too late for a table finds the generation in its place.
func (x *execution) prune(ctx context.Context) error {
	rows, err := x.catalog.pool.Query(ctx, x.catalog.sql(oldGenerationsSQL), x.Operation.Subject, keep(x.Operation.Options))
	if err != nil {
		return err
	}
	old, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (generation, error) {
		g := generation{projection: x.Operation.Subject, table: tableName{schema: x.catalog.schema}}
		return g, row.Scan(&g.number, &g.table.name)
	})
	if err != nil {
		return err
	}
	for _, g := range old {
		failpoint.Hit(failpoint.RebuildDropping)
		switch err := x.catalog.drop(ctx, g); {
		case pgerr.Is(err, pgerr.LockNotAvailable):
			x.worker.log.Warn().Int("generation", g.number).Msg("old generation is in use, the next rebuild will remove it")
		case err != nil:
			return fmt.Errorf("remove generation %d: %w", g.number, err)
		}
		failpoint.Hit(failpoint.RebuildDropped)
	}
	return nil
}
