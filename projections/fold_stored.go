package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
)

// stored is a row as the table has it, values its columns but those of the key.
type stored[K comparable] struct {
	key      K
	position int64
	values   []any
}

const comparePage = 2000

// eachStored reads the whole table in the order of its key.
func (p *foldProjector[K, Row]) eachStored(ctx context.Context, v *verifying, each func(stored[K]) error) error {
	keys := list(p.layout.Key.Names())
	columns := list(append(append(p.layout.Key.Names(), positionColumn), p.layout.Row.Names()...))
	var after []any
	for {
		where := ""
		if after != nil {
			places := make([]string, len(after))
			for i, c := range p.layout.Key {
				places[i] = fmt.Sprintf("$%d::%s", i+1, c.Type)
			}
			where = fmt.Sprintf("WHERE (%s) > (%s)", keys, strings.Join(places, ", "))
		}
		sql := fmt.Sprintf("SELECT %s FROM %s %s ORDER BY %s LIMIT %d", columns, v.generation.table, where, keys, comparePage)
		rows, err := v.catalog.pool.Query(ctx, sql, after...)
		if err != nil {
			return err
		}
		var last K
		n := 0
		// One row at a time: a page of large ones would not fit in memory.
		for ; rows.Next(); n++ {
			row, err := p.scanStoredBehind(rows)
			if err == nil {
				err = each(row)
			}
			if err != nil {
				rows.Close()
				return err
			}
			last = row.key
		}
		if err := rows.Err(); err != nil || n < comparePage {
			return err
		}
		if after, err = p.layout.Key.Args(reflect.ValueOf(last)); err != nil {
			return err
		}
	}
}

// scanStoredBehind scans a row whose first columns go to other places.
func (p *foldProjector[K, Row]) scanStoredBehind(row pgx.CollectableRow, others ...any) (s stored[K], err error) {
	key, values := reflect.ValueOf(&s.key).Elem(), p.layout.Row.Stored()
	targets := append(p.layout.Key.Targets(others, key), &s.position)
	if err := row.Scan(append(targets, values...)...); err != nil {
		return s, err
	}
	s.values = p.layout.Row.Values(values)
	return s, p.layout.Key.Normalize(key)
}

// storedAt reads the rows of the keys of m, and the checkpoint at which they are so.
func (p *foldProjector[K, Row]) storedAt(ctx context.Context, db querier, c *catalog, g generation, m *memory[K, Row]) (map[K]*stored[K], int64, error) {
	args, casts, err := arrays(p.layout.Key, valuesOf(m.order), 3)
	if err != nil {
		return nil, 0, err
	}
	keys := p.layout.Key.Names()
	on := make([]string, len(keys))
	for i, key := range keys {
		on[i] = fmt.Sprintf("t.%[1]s = k.%[1]s", pgsql.Name(key))
	}
	columns := list(append(append(p.layout.Key.Names(), positionColumn), p.layout.Row.Names()...))
	sql := fmt.Sprintf(c.sql(`SELECT g.position, r.* FROM {schema}.projection_generations g
		LEFT JOIN (SELECT k.n, t.* FROM unnest(%s) WITH ORDINALITY AS k (%s, n)
			CROSS JOIN LATERAL (SELECT %s FROM %s t WHERE %s OFFSET 0) t) r ON true
		WHERE g.projection = $1 AND g.generation = $2`), casts, list(keys), columns, g.table, strings.Join(on, " AND "))
	rows, err := db.Query(ctx, sql, append([]any{g.projection, g.number}, args...)...)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	got := make(map[K]*stored[K])
	var checkpoint int64
	found := false
	for rows.Next() {
		found = true
		// Without any of the rows there is one that has only the checkpoint.
		if rows.RawValues()[1] == nil {
			var nothing any
			targets := []any{&checkpoint}
			for range len(rows.RawValues()) - 1 {
				targets = append(targets, &nothing)
			}
			if err := rows.Scan(targets...); err != nil {
				return nil, 0, err
			}
			continue
		}
		var n int64
		s, err := p.scanStoredBehind(rows, &checkpoint, &n)
		if err != nil {
			return nil, 0, err
		}
		got[s.key] = &s
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	if !found {
		return nil, 0, errors.New("the generation is gone")
	}
	return got, checkpoint, nil
}
