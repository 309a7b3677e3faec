package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/lease"
)

// Dropped says what Drop has removed.
type Dropped struct {
	Projection string `json:"projection"`
	// Generations are the numbers of those that were removed.
	Generations []int `json:"generations"`
	// Whole says that nothing of the projection is left.
	Whole bool `json:"whole"`
}

var droppableSQL = `
SELECT g.generation, g.table_name, g.generation = p.live_generation, ` + lease.Owner + `,
       EXISTS (SELECT FROM {schema}.operations o WHERE o.of_projection = p.name AND o.state = 'running')
FROM {schema}.projections p JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE p.name = $1 AND ($2 = 0 OR g.version = $2) ORDER BY g.generation`

// Drop removes a projection, with all its rows and its view, or, if version is not 0, the rows of
// one version. A program that has the projection makes it anew, from the log, when it runs it next. The reason, which may be
// empty, and who gave it are kept: see Audit.
//
// Errors: ErrNotFound; ErrInUse for what a process runs or works on, and for a version that the
// view shows.
func (a *Admin) Drop(ctx context.Context, projection string, version int, reason, actor string) (Dropped, error) {
	err := a.catalog.check(ctx, a.catalog.pool, projection)
	var d Dropped
	if err == nil {
		d, err = a.catalog.dropAll(ctx, projection, version, reason, actor)
	}
	if err != nil {
		return Dropped{}, fmt.Errorf("drop projection %q: %w", projection, err)
	}
	return d, nil
}

func (c *catalog) dropAll(ctx context.Context, projection string, version int, reason, actor string) (Dropped, error) {
	d := Dropped{Projection: projection, Generations: []int{}, Whole: version == 0}
	err := c.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := c.lock(ctx, tx, projection); err != nil {
			return err
		}
		tables, err := c.droppable(ctx, tx, &d, version)
		if err != nil {
			return err
		}
		// The tables before their records, as a worker does that is on its last write; see catalog.drop.
		for _, table := range tables {
			if _, err := tx.Exec(ctx, `LOCK TABLE `+table.String()); err != nil {
				return err
			}
		}
		// Somebody may have taken them while the locks were waited for; nobody can from here on.
		if _, err := tx.Exec(ctx, c.sql(`SELECT FROM {schema}.projection_generations WHERE projection = $1 FOR UPDATE`), projection); err != nil {
			return err
		}
		d.Generations = d.Generations[:0]
		if tables, err = c.droppable(ctx, tx, &d, version); err != nil {
			return err
		}
		if d.Whole {
			if _, err := tx.Exec(ctx, `DROP VIEW IF EXISTS `+tableName{c.schema, projection}.String()); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, c.sql(`DELETE FROM {schema}.projections WHERE name = $1`), projection)
		} else {
			_, err = tx.Exec(ctx, c.sql(`DELETE FROM {schema}.projection_generations WHERE projection = $1 AND version = $2`), projection, version)
		}
		if err != nil {
			return err
		}
		for _, table := range tables {
			if _, err := tx.Exec(ctx, `DROP TABLE IF EXISTS `+table.String()); err != nil {
				return err
			}
		}
		detail := "all of it"
		if version != 0 {
			detail = fmt.Sprintf("version %d", version)
		}
		if reason != "" {
			detail += ": " + reason
		}
		return c.audit(ctx, tx, projection, actor, "drop", detail)
	})
	return d, err
}

// droppable adds to d the generations that are to be dropped, and returns their tables, if nobody
// needs them.
func (c *catalog) droppable(ctx context.Context, tx pgx.Tx, d *Dropped, version int) ([]tableName, error) {
	rows, err := tx.Query(ctx, c.sql(droppableSQL), d.Projection, version)
	if err != nil {
		return nil, err
	}
	var tables []tableName
	var number int
	var owner string
	var inView, worked bool
	table := tableName{schema: c.schema}
	_, err = pgx.ForEachRow(rows, []any{&number, &table.name, &inView, &owner, &worked}, func() error {
		switch {
		case owner != "":
			return fmt.Errorf("%w: %s runs generation %d", ErrInUse, owner, number)
		case worked:
			return fmt.Errorf("%w: an operation is running", ErrInUse)
		case inView && version != 0:
			return fmt.Errorf("%w: the view shows version %d", ErrInUse, version)
		}
		tables, d.Generations = append(tables, table), append(d.Generations, number)
		return nil
	})
	if err == nil && len(tables) == 0 && version != 0 {
		err = ErrNotFound
	}
	return tables, err
}

const unusedSQL = `
SELECT g.projection, g.version FROM {schema}.projection_generations g
JOIN {schema}.projections p ON p.name = g.projection
LEFT JOIN unnest($1::text[], $2::int[]) AS known (projection, version) USING (projection, version)
WHERE known.version IS NULL AND p.app = $4
GROUP BY 1, 2
HAVING max(g.last_run_at) < clock_timestamp() - $3::interval AND bool_and(g.generation <> p.live_generation)`

// dropUnused removes the rows of versions of the App that nobody has run for longer than after.
func (r *Runner) dropUnused(ctx context.Context, names []string, versions []int, after time.Duration) error {
	rows, err := r.catalog.pool.Query(ctx, r.catalog.sql(unusedSQL), names, versions, after, r.catalog.app)
	if err != nil {
		return err
	}
	type unused struct {
		Projection string
		Version    int
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[unused])
	if err != nil {
		return err
	}
	for _, u := range all {
		d, err := r.catalog.dropAll(ctx, u.Projection, u.Version, "nobody has run it for "+after.String(), r.owner)
		l := r.config.Logger.Info()
		if err != nil {
			l = r.config.Logger.Warn().Err(err)
		}
		l.Str("projection", u.Projection).Int("version", u.Version).Ints("generations", d.Generations).Msg("rows of a version that nobody runs are dropped")
	}
	return nil
}
