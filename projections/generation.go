package projections

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgerr"
)

// generation is one table of a projection's rows.
type generation struct {
	projection string
	number     int
	table      tableName
	// built is false while its rows are copied: nobody applies events to it.
	built bool
}

// recordedSQL finds what the rows of a version are without their indexes, if that was recorded.
const recordedSQL = `
SELECT max(row_definition) FROM {schema}.projection_generations WHERE projection = $1 AND version = $2`

// servingSQL finds the generation that programs with a version of the projection read.
const servingSQL = `
SELECT generation, table_name, built, definition, (` + recordedSQL + `)
FROM {schema}.projection_generations
WHERE projection = $1 AND version = $2 AND serving`

// ensure returns the generation for the version of p, which is made if there is none. Any number of
// processes may do so at once. A fold of a long log is left to be built by a rebuild.
func (c *catalog) ensure(ctx context.Context, config Config, p Projection, runs projector) (generation, error) {
	g, err := c.serving(ctx, c.pool, p, runs)
	if !errors.Is(err, pgx.ErrNoRows) {
		return g, err
	}
	if config.BuildOnCommand {
		var live int
		err := c.pool.QueryRow(ctx, c.sql(liveVersionSQL), p.Name()).Scan(&live)
		if !isNoRows(err) {
			return generation{}, err
		}
	}
	head, err := config.Store.Head(ctx)
	if err != nil {
		return generation{}, fmt.Errorf("projection %s: read the log: %w", p.Name(), err)
	}
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		_, isFold := runs.(bulk)
		g, err = c.create(ctx, tx, head, p, runs, !isFold || head.Position < config.BulkFrom)
		return err
	})
	if err != nil {
		return generation{}, fmt.Errorf("projection %s: make generation: %w", p.Name(), err)
	}
	return g, nil
}

func (c *catalog) serving(ctx context.Context, db querier, p Projection, runs projector) (generation, error) {
	g := generation{projection: p.Name(), table: tableName{schema: c.schema}}
	var definition string
	var rows *string
	err := db.QueryRow(ctx, c.sql(servingSQL), p.Name(), p.Version()).Scan(&g.number, &g.table.name, &g.built, &definition, &rows)
	if err != nil {
		return g, err
	}
	fold, isFold := runs.(bulk)
	same := false
	switch {
	case isFold && rows != nil:
		same = isDefinedAs(*rows, runs, fold.rowDefinition)
	case isDefinedAs(definition, runs, runs.definition):
		same = true
	case isFold: // made by a program that counted the indexes as well, which are others now
		there, err := indexesOf(ctx, db, g.table)
		if err != nil {
			return g, err
		}
		same = isDefinedAs(definition, runs, fold.definitionWith(there))
		if !same { // a process may have recorded the rows since, and changed the indexes
			if err := db.QueryRow(ctx, c.sql(recordedSQL), p.Name(), p.Version()).Scan(&rows); err != nil {
				return g, err
			}
			same = rows != nil && isDefinedAs(*rows, runs, fold.rowDefinition)
		}
	}
	if !same {
		return g, &DefinitionChangedError{Projection: p.Name(), Version: p.Version()}
	}
	return g, nil
}

const (
	registerSQL = `INSERT INTO {schema}.projections (name, live_generation, app) VALUES ($1, 1, $2) ON CONFLICT DO NOTHING`

	lockProjectionSQL = `SELECT live_generation, app FROM {schema}.projections WHERE name = $1 FOR UPDATE`

	nextGenerationSQL = `
SELECT greatest(
    (SELECT max(generation) FROM {schema}.projection_generations WHERE projection = $1),
    (SELECT max(generation) FROM {schema}.operations WHERE of_projection = $1), 0) + 1`

	// The rows of a version have one definition: a program from before a type was renamed knows it by
	// the names of then, and one that counts the indexes as well by those.
	insertGenerationSQL = `
INSERT INTO {schema}.projection_generations
    (projection, generation, version, definition, row_definition, table_name, serving, built, target, log_id, incarnation, changes, changes_kept)
VALUES ($1, $2, $3, coalesce((SELECT definition FROM {schema}.projection_generations
                              WHERE projection = $1 AND version = $3 AND serving), $4), $11, $5, $6, $7, $8, $9, $10, $12, $13::interval)`
)

// create makes the generation for the version of p, unless there is one.
func (c *catalog) create(ctx context.Context, tx pgx.Tx, head eventstore.Token, p Projection, runs projector, built bool) (generation, error) {
	live, err := c.register(ctx, tx, p.Name())
	if err != nil {
		return generation{}, err
	}
	// Another process may have made it while this one waited for the lock.
	g, err := c.serving(ctx, tx, p, runs)
	if !errors.Is(err, pgx.ErrNoRows) {
		return g, err
	}
	if g, err = c.add(ctx, tx, head, p, runs, true, built); err != nil || g.number != live {
		return g, err
	}
	return g, nameTaken(p.Name(), c.createView(ctx, tx, g))
}

// register is lock for a projection that may not have a row yet.
func (c *catalog) register(ctx context.Context, tx pgx.Tx, projection string) (live int, err error) {
	if _, err := tx.Exec(ctx, c.sql(registerSQL), projection, c.app); err != nil {
		return 0, err
	}
	return c.lock(ctx, tx, projection)
}

// lock locks the projection's row and returns the generation that its view shows, ErrNotFound if
// there is no row, or an *AppError for one of another App.
func (c *catalog) lock(ctx context.Context, tx pgx.Tx, projection string) (live int, err error) {
	var owner string
	err = notFound(tx.QueryRow(ctx, c.sql(lockProjectionSQL), projection).Scan(&live, &owner))
	if err == nil && c.app != "" && owner != "" && owner != c.app {
		err = &AppError{App: c.app, Owners: []string{owner}, Schema: c.schema, Projection: projection}
	}
	return live, err
}

// add makes one more generation, with its table, which has no indexes yet if it is not built. The
// projection's row must be locked.
func (c *catalog) add(ctx context.Context, tx pgx.Tx, head eventstore.Token, p Projection, runs projector, serving, built bool) (generation, error) {
	g := generation{projection: p.Name(), table: tableName{schema: c.schema}, built: built}
	if err := tx.QueryRow(ctx, c.sql(nextGenerationSQL), p.Name()).Scan(&g.number); err != nil {
		return g, err
	}
	g.table.name = fmt.Sprintf("%s_g%d", p.Name(), g.number)
	create, rows := runs.create, runs.definition
	if fold, ok := runs.(bulk); ok {
		rows = fold.rowDefinition
		if !built {
			create = fold.createBare
		}
	}
	images, kept := keepsOf(runs).columns()
	_, err := tx.Exec(ctx, c.sql(insertGenerationSQL), p.Name(), g.number, p.Version(), definitionOf(runs, runs.definition),
		g.table.name, serving, built, head.Position, head.Log, head.Incarnation, definitionOf(runs, rows), images, kept)
	if err != nil {
		return g, err
	}
	return g, nameTaken(p.Name(), create(ctx, tx, g.table))
}

// createView makes the view that shows the rows to SQL users. The star becomes the table's columns.
func (c *catalog) createView(ctx context.Context, tx pgx.Tx, g generation) error {
	_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE VIEW %s AS SELECT * FROM %s`, c.view(g), g.table))
	return err
}

func (c *catalog) view(g generation) tableName { return tableName{c.schema, g.projection} }

const (
	lockGenerationsSQL = `
SELECT FROM {schema}.projection_generations WHERE projection = $1 AND generation IN ($2, $3) ORDER BY generation FOR UPDATE`

	setLiveSQL = `UPDATE {schema}.projections SET live_generation = $2 WHERE name = $1`
)

var belongsInViewSQL = `
SELECT ` + belongsInView + ` FROM {schema}.projection_generations g WHERE projection = $1 AND generation = $2`

// publishView makes the view show g, if that belongs there. The lock on the checkpoint of the other
// generation holds it where it is meanwhile.
func (c *catalog) publishView(ctx context.Context, g generation) (shown bool, err error) {
	err = c.inTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, limitSwitch); err != nil {
			return err
		}
		live, err := c.lock(ctx, tx, g.projection)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, c.sql(lockGenerationsSQL), g.projection, live, g.number); err != nil {
			return err
		}
		err = tx.QueryRow(ctx, c.sql(belongsInViewSQL), g.projection, g.number).Scan(&shown)
		if err != nil || !shown {
			return err
		}
		if _, err := tx.Exec(ctx, c.sql(setLiveSQL), g.projection, g.number); err != nil {
			return err
		}
		if err := c.switchFeed(ctx, tx, g.projection, live, g.number); err != nil {
			return err
		}
		return c.replaceView(ctx, tx, g)
	})
	if err != nil {
		return false, fmt.Errorf("show generation %d: %w", g.number, err)
	}
	return shown, nil
}

// replaceView keeps the view, with the rights granted on it, where the new table has the columns of
// the old one and perhaps more behind them. Else the view is made anew.
func (c *catalog) replaceView(ctx context.Context, tx pgx.Tx, g generation) error {
	replace, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	_, err = replace.Exec(ctx, fmt.Sprintf(`CREATE OR REPLACE VIEW %s AS SELECT * FROM %s`, c.view(g), g.table))
	if err == nil {
		return replace.Commit(ctx)
	}
	if err := replace.Rollback(ctx); err != nil {
		return err
	}
	if !pgerr.Is(err, pgerr.InvalidTable) {
		return err
	}
	if _, err := tx.Exec(ctx, fmt.Sprintf(`DROP VIEW %s`, c.view(g))); err != nil {
		return err
	}
	return c.createView(ctx, tx, g)
}

func nameTaken(projection string, err error) error {
	if pgerr.Is(err, pgerr.DuplicateTable) {
		return &NameTakenError{Projection: projection}
	}
	return err
}
