package readers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgsql"
)

// positionColumn is the last position that touched a row.
const positionColumn = "recount_position"

// overSQL reads a whole read model by the view with its stable name, as a user of SQL does.
func overSQL(pool *pgxpool.Pool, schema, view string) reader {
	sql := fmt.Sprintf(`SELECT count(*), coalesce(max(%[1]s), 0), coalesce(sum(%[1]s), 0)::bigint FROM %[2]s`,
		positionColumn, pgsql.Name(schema, view))
	return reader{"SQL " + view, func(ctx context.Context) (map[string]int64, error) {
		var rows, newest, sum int64
		if err := pool.QueryRow(ctx, sql).Scan(&rows, &newest, &sum); err != nil {
			return nil, err
		}
		return map[string]int64{"rows": rows, "newest position": newest, "sum of positions": sum}, nil
	}}
}

// Digest returns a digest of all rows of a read model, to compare it with another one.
func Digest(ctx context.Context, db *pgx.Conn, schema, view string) (digest string, err error) {
	sql := fmt.Sprintf(`SELECT count(*) || ' ' || md5(coalesce(string_agg(r::text, E'\n' ORDER BY r::text COLLATE "C"), '')) FROM %s AS r`,
		pgsql.Name(schema, view))
	if err := db.QueryRow(ctx, sql).Scan(&digest); err != nil {
		return "", fmt.Errorf("read %s: %w", view, err)
	}
	return digest, nil
}
