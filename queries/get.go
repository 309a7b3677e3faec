package queries

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/projections"
)

// Get returns the row with the given key, when the projection has come to the token.
//
// Errors: ErrNotFound, *BehindError, *eventstore.LogChangedError.
func Get[K comparable, Row any](ctx context.Context, r *Reader, f *projections.Fold[K, Row], key K, token eventstore.Token) (Row, error) {
	if r.config.InMemory != nil {
		return getInMemory(ctx, r, f, key, token)
	}
	var row Row
	layout, err := f.Layout()
	if err != nil {
		return row, err
	}
	args, err := keyArgs(layout, &key)
	if err != nil {
		return row, err
	}
	found := false
	_, err = r.read(ctx, []source{{f.Name(), f.Version()}}, token, func(b *pgx.Batch, tables []string, use func() bool) {
		sql := fmt.Sprintf(`SELECT %s FROM %s WHERE %s`, list(layout.Row.Names()), tables[0], equals(layout.Key.Names()))
		b.Queue(sql, args...).Query(func(rows pgx.Rows) error {
			defer rows.Close()
			row, found = *new(Row), false
			if !use() || !rows.Next() {
				return rows.Err()
			}
			found = true
			return scan(rows, layout.Row, reflect.ValueOf(&row).Elem())
		})
	})
	if err == nil && !found {
		err = ErrNotFound
	}
	if err != nil {
		return *new(Row), fmt.Errorf("get %v of %s: %w", key, f.Name(), err)
	}
	return row, nil
}

// keyArgs returns a key as parameters. A key that no row can have is ErrNotFound.
func keyArgs[K comparable](layout projections.Layout, key *K) ([]any, error) {
	v := reflect.ValueOf(key).Elem()
	if err := layout.Key.Normalize(v); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return layout.Key.Args(v)
}

// scan reads the columns of a row to v, which is zero.
func scan(rows pgx.Rows, columns rowmap.Columns, v reflect.Value) error {
	if err := rows.Scan(columns.Targets(make([]any, 0, len(columns)), v)...); err != nil {
		return err
	}
	return columns.Normalize(v)
}

// equals returns the condition that columns equal the parameters from $1.
func equals(columns []string) string {
	conditions := make([]string, len(columns))
	for i, name := range columns {
		conditions[i] = fmt.Sprintf("%s = $%d", pgsql.Name(name), i+1)
	}
	return strings.Join(conditions, " AND ")
}

// list returns column names quoted and separated by commas.
func list(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = pgsql.Name(name)
	}
	return strings.Join(quoted, ", ")
}
