package projections

import (
	"context"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/background"
	"github.com/57528e99/recount/internal/pgsql"
)

// tableIndex is an index that the table of a generation has, besides its primary key and those that
// somebody else made.
type tableIndex struct {
	name string
	// valid says that it is complete: one whose CREATE INDEX CONCURRENTLY was cut off is not. Busy
	// says that something works on the table, which may be just that statement.
	valid, busy bool
	columns     []string
}

const tableIndexesSQL = `
SELECT c.relname::text, i.indisvalid,
       EXISTS (SELECT FROM pg_locks l
               WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock' AND l.pid <> pg_backend_pid()
                 AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())),
       (SELECT array_agg(a.attname::text ORDER BY k.n) FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = to_regclass($1) AND starts_with(c.relname, $2)
  -- Numbers are of names of before. PostgreSQL itself gives an index a name such as orders_g1_id_idx.
  AND substr(c.relname::text, length($2::text) + 1) ~ '^([0-9]+|[0-9a-f]{6})$'
  AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT (i.indisunique AND i.indisvalid)
ORDER BY length(c.relname), c.relname`

// indexesOf returns the indexes of a table, in the order of their names.
func indexesOf(ctx context.Context, db querier, table tableName) ([]tableIndex, error) {
	rows, err := db.Query(ctx, tableIndexesSQL, table.String(), table.name+"_i")
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (i tableIndex, err error) {
		return i, row.Scan(&i.name, &i.valid, &i.busy, &i.columns)
	})
}

// indexes are the statements that make the primary key and the indexes.
func (p *foldProjector[K, Row]) indexes(table tableName) []string {
	ddl := []string{fmt.Sprintf("ALTER TABLE %s ADD PRIMARY KEY (%s)", table, list(p.layout.Key.Names()))}
	for _, columns := range p.layout.indexColumns() {
		ddl = append(ddl, createIndex("INDEX", table, columns))
	}
	return ddl
}

// indexColumns returns the columns of each index as they are in the table.
func (l Layout) indexColumns() [][]string {
	var all [][]string
	for _, index := range l.Indexes {
		columns := l.IndexColumns(index)
		if !slices.ContainsFunc(all, func(other []string) bool { return slices.Equal(columns, other) }) {
			all = append(all, columns)
		}
	}
	return all
}

// createIndex returns the statement that makes an index. Its name comes of its columns, so that
// every process gives it the same.
func createIndex(how string, table tableName, columns []string) string {
	sum := fnv.New32a()
	sum.Write([]byte(strings.Join(columns, "\x00")))
	return fmt.Sprintf("CREATE %s %s ON %s (%s)", how, pgsql.Name(fmt.Sprintf("%s_i%06x", table.name, sum.Sum32()>>8)), table, list(columns))
}

// alignIndexes makes the indexes that the table lacks, and drops those that the fold does not have
// any more, while the rows are read and written. It returns false if there may be more to do later,
// since something works on the table.
//
// Only the process that runs the projection does so. Should two believe that they are that one,
// their statements wait for each other, and the later one finds the index there; or one of them
// ends with a deadlock, and tries again.
func (p *foldProjector[K, Row]) alignIndexes(ctx context.Context, db querier, table tableName) (done bool, err error) {
	there, err := indexesOf(ctx, db, table)
	if err != nil {
		return false, err
	}
	missing := p.layout.indexColumns()
	for _, index := range there {
		at := slices.IndexFunc(missing, func(columns []string) bool { return slices.Equal(columns, index.columns) })
		switch {
		case at >= 0 && index.valid:
			missing = slices.Delete(missing, at, at+1)
			continue
		case !index.valid && index.busy:
			return false, nil
		}
		if _, err := db.Exec(ctx, "DROP INDEX CONCURRENTLY IF EXISTS "+tableName{table.schema, index.name}.String()); err != nil {
			return false, fmt.Errorf("drop index %s: %w", index.name, err)
		}
	}
	for _, columns := range missing {
		if _, err := db.Exec(ctx, createIndex("INDEX CONCURRENTLY IF NOT EXISTS", table, columns)); err != nil {
			return false, fmt.Errorf("index columns %s of table %s: %w", strings.Join(columns, ", "), table, err)
		}
	}
	return true, nil
}

const recordRowsSQL = `
UPDATE {schema}.projection_generations SET row_definition = $3
WHERE projection = $1 AND generation = $2 AND row_definition IS NULL`

// alignIndexes lets the indexes of the generation become those of the fold.
func (w *worker) alignIndexes(ctx context.Context) {
	fold, ok := w.runs.(bulk)
	if !ok {
		return
	}
	loop := background.Loop{
		Idle:   w.runner.config.PollInterval,
		Failed: func(err error, _ time.Duration) { w.log.Warn().Err(err).Msg("an index is not made yet") },
	}
	// The end of ctx is no error.
	_ = loop.Run(ctx, func(ctx context.Context) (background.Next, error) {
		c, g := w.runner.catalog, w.generation
		// From now on the table need not have the indexes that are in the definition.
		if _, err := c.pool.Exec(ctx, c.sql(recordRowsSQL), g.projection, g.number, definitionOf(w.runs, fold.rowDefinition)); err != nil {
			return background.Idle, err
		}
		done, err := fold.alignIndexes(ctx, c.pool, g.table)
		switch {
		case isDataError(err):
			w.log.Error().Err(err).Str("hint", "reads by it are slow until it can be made: correct the rows or the index").
				Msg("an index cannot be made")
			return background.Done, nil
		case err != nil || !done:
			return background.Idle, err
		}
		return background.Done, nil
	})
}

// definitionWith is definition with the indexes that a table was made with. What columns one named
// is taken from the table: those of the key follow by themselves.
func (p *foldProjector[K, Row]) definitionWith(there []tableIndex) func(events []string) string {
	made := foldProjector[K, Row]{layout: p.layout}
	made.layout.Indexes = nil
	for _, index := range there {
		for n := 1; n <= len(index.columns); n++ {
			if named := (Index{index.columns[:n]}); slices.Equal(p.layout.IndexColumns(named), index.columns) {
				made.layout.Indexes = append(made.layout.Indexes, named)
				break
			}
		}
	}
	return made.definition
}

// rowDefinition is definition without the indexes, which can change while the rows stay.
func (p *foldProjector[K, Row]) rowDefinition(events []string) string {
	return p.definitionWith(nil)(events)
}
