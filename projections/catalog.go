package projections

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/operations"
)

// catalog is access to the tables that this package keeps about projections.
type catalog struct {
	pool   *pgxpool.Pool
	schema string
	// app is that of the program; empty: it has no name.
	app string
	// operations are those on projections.
	operations *operations.Records
}

func newCatalog(pool *pgxpool.Pool, schema string, hints operations.Hints) *catalog {
	c := &catalog{pool: pool, schema: schema}
	c.operations = operations.NewRecords(pool, schema, "projection", c.discard, hints)
	return c
}

// sql returns the text of a statement with the schema's name in it.
func (c *catalog) sql(text string) string { return pgsql.In(c.schema, text) }

// txSettings bound, until the end of a transaction, how long its statements wait for a lock, and how
// long others wait for its own locks if its process freezes or can no longer be reached. What gives
// up is tried again later.
const txSettings = `
SELECT set_config('lock_timeout', '2s', true), set_config('idle_in_transaction_session_timeout', '10s', true),
       set_config('statement_timeout', '0', true)`

// inTx runs f in a transaction with txSettings.
func (c *catalog) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	tx, err := begin(ctx, c.pool)
	if err != nil {
		return err
	}
	defer rollback(ctx, tx)
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit(ctx)
}

// begin starts a transaction with txSettings.
func begin(ctx context.Context, pool *pgxpool.Pool) (pgx.Tx, error) {
	tx, err := pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, txSettings); err != nil {
		rollback(ctx, tx)
		return nil, err
	}
	return tx, nil
}

// rollback ends a transaction that was not committed. After a commit it does nothing.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	// An error here means that the connection is gone, and the transaction with it.
	_ = tx.Rollback(ctx)
}
