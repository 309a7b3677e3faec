package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/migrations"
)

// openPool returns connections to a database, at most maxConns at once. None is made yet.
func openPool(ctx context.Context, dsn string, maxConns int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("the database's address: %w", err)
	}
	config.MaxConns = maxConns
	if config.ConnConfig.RuntimeParams["application_name"] == "" {
		config.ConnConfig.RuntimeParams["application_name"] = "recount"
	}
	pgstore.ConfigurePool(config)
	return pgxpool.NewWithConfig(ctx, config)
}

// withLog opens the log for a command that looks at it or steers it.
func (d *database) withLog(ctx context.Context, use func(*pgxpool.Pool, *pgstore.Store) error) (err error) {
	dsn, err := d.locate(ctx)
	if err != nil {
		return err
	}
	pool, err := openPool(ctx, dsn, 16) // operations on all projections take two or three each
	if err != nil {
		return err
	}
	defer pool.Close()
	defer func() {
		if pgerr.LacksTables(err) {
			// That they are behind says it better, if that is why.
			err = cmp.Or(checkMigrated(ctx, dsn, d.schema), err)
		}
	}()
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: pool, Schema: d.schema, ReceiptTTL: -1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeStore(ctx, store)) }()
	return use(pool, store)
}

// closeTimeout bounds a goodbye that should take no time.
const closeTimeout = 10 * time.Second

func closeStore(ctx context.Context, store *pgstore.Store) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return store.Close(ctx)
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

// checkMigrated returns an error if the tables cannot be used, or are not known to be.
func checkMigrated(ctx context.Context, dsn, schema string) error {
	now, err := migrations.Status(ctx, dsn, schema)
	return cmp.Or(err, usable(schema, now))
}

// usable returns an error if the tables are older than this program needs them, or half migrated.
// Newer ones are fine: a migration keeps the program before it running.
func usable(schema string, now migrations.State) error {
	switch {
	case now.Dirty:
		return &migrations.DirtyError{Schema: schema, Version: now.Current}
	case now.Pending():
		return behind(schema, now, exitUnavailable)
	}
	return nil
}
