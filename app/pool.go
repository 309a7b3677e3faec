package app

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore/pgstore"
)

// openPool returns connections to a database, at most maxConns at once; 0: pool_max_conns of the address, else 20. None is
// made yet.
func openPool(ctx context.Context, dsn string, maxConns int32, program string) (*pgxpool.Pool, error) {
	address, err := pgconn.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the database's address: %w", err)
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the database's address: %w", err)
	}
	if _, named := address.RuntimeParams["pool_max_conns"]; maxConns > 0 || !named {
		config.MaxConns = cmp.Or(maxConns, 20)
	}
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = program
	}
	pgstore.ConfigurePool(config)
	return pgxpool.NewWithConfig(ctx, config)
}

// closePool closes a pool, or gives up when ctx ends: connections that are being cut off wait for
// the database, and one that is frozen must not keep the process.
func closePool(ctx context.Context, pool *pgxpool.Pool) error {
	closed := make(chan struct{})
	go func() {
		pool.Close()
		close(closed)
	}()
	select {
	case <-closed:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close the connections to the database: %w", ctx.Err())
	}
}
