package projections

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore"
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

// Serving is the generation that programs with a version of a projection read, as a statement found
// it. Package queries reads through it.
type Serving struct {
	// Generation counts from 1. Table is its table, qualified and quoted.
	Generation int
	Table      string
	// Checkpoint is how far its rows are, at least, for statements that follow.
	Checkpoint eventstore.Token
	// Target is the position before which it is still being built.
	Target int64
	Paused bool
	// Failure is why it has stopped; empty: it has not.
	Failure string
	// Unreadable is what the program that ran it stands aside before; empty: nothing.
	Unreadable string
	// App is the App that has the projection; empty: none.
	App string
}

// A version of 0 stands for the generation that the view shows.
const queueServingSQL = `
SELECT g.generation, g.table_name, g.log_id, g.incarnation, g.position, g.target, p.desired = 'paused',
       coalesce(g.failure, ''), coalesce(g.unreadable, ''), p.app
FROM {schema}.projections p
JOIN {schema}.projection_generations g ON g.projection = p.name
WHERE p.name = $1 AND CASE WHEN $2 = 0 THEN g.generation = p.live_generation ELSE g.version = $2 AND g.serving END`

// QueueServing adds to a batch the statement that reads into s which generation of a projection to
// read. A version of 0 means the one that the view shows. If there is none, the batch's results are
// closed with an error that matches ErrNotFound.
func QueueServing(b *pgx.Batch, schema, projection string, version int, s *Serving) {
	b.Queue(pgsql.In(schema, queueServingSQL), projection, version).QueryRow(func(row pgx.Row) error {
		table := tableName{schema: schema}
		err := row.Scan(&s.Generation, &table.name, &s.Checkpoint.Log, &s.Checkpoint.Incarnation, &s.Checkpoint.Position,
			&s.Target, &s.Paused, &s.Failure, &s.Unreadable, &s.App)
		s.Table = table.String()
		if errors.Is(err, pgx.ErrNoRows) {
			err = fmt.Errorf("projection %q version %d: %w", projection, version, ErrNotFound)
		}
		return err
	})
}
