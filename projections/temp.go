package projections

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
)

// CreateTemp makes an empty table as those of a projection are, for statements to be tried on without what there is in the
// database, and returns its name, quoted. It is gone with the transaction if that is rolled back, and nobody else sees it.
func CreateTemp(ctx context.Context, tx pgx.Tx, codec *eventstore.Codec, p Projection) (table string, err error) {
	runs, mistakes := p.prepare(codec)
	if err := errors.Join(mistakes...); err != nil {
		return "", err
	}
	name := tableName{"pg_temp", p.Name()}
	create := runs.create
	if fold, ok := runs.(interface {
		createBare(context.Context, pgx.Tx, tableName) error
		indexes(tableName) []string
	}); ok {
		create = func(ctx context.Context, tx pgx.Tx, name tableName) error {
			if err := fold.createBare(ctx, tx, name); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, fold.indexes(name)[0]) // the primary key: what is grouped by it may name all columns
			return err
		}
	}
	return name.String(), create(ctx, tx, name)
}
