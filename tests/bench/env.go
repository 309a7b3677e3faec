package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/migrations"
)

// Env is where a benchmark runs.
type Env struct {
	dsn      string
	progress func(string)
}

func (e *Env) say(format string, args ...any) {
	if e.progress != nil {
		e.progress(fmt.Sprintf(format, args...))
	}
}

// scratch is a log in a schema of its own, for as long as a part of a benchmark takes.
type scratch struct {
	dsn, schema string
	// pool has a connection for each caller, and finds the schema's tables by their bare names.
	pool  *pgxpool.Pool
	store *pgstore.Store
}

// storeConns are for what a store and its projections do besides callers' work.
const storeConns = 8

// with runs use on an empty log, and removes the log.
func (e *Env) with(ctx context.Context, callers int, use func(*scratch) error) (err error) {
	s := &scratch{dsn: e.dsn, schema: "recount_bench_" + strings.ToLower(rand.Text()[:8])}
	defer func() { err = errors.Join(err, s.remove(ctx)) }()
	if _, err := migrations.Up(ctx, s.dsn, s.schema); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(s.dsn)
	if err != nil {
		return fmt.Errorf("the database's address: %w", err)
	}
	config.MaxConns = int32(callers + storeConns)
	config.ConnConfig.RuntimeParams["search_path"] = pgsql.Name(s.schema)
	config.ConnConfig.RuntimeParams["application_name"] = "recount bench"
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("connect to the database: %w", err)
	}
	if s.store, err = pgstore.Open(ctx, pgstore.Config{Pool: s.pool, Schema: s.schema}); err != nil {
		return err
	}
	return use(s)
}

func (s *scratch) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	var errs []error
	if s.store != nil {
		errs = append(errs, s.store.Close(ctx))
	}
	if s.pool != nil {
		s.pool.Close()
	}
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return errors.Join(append(errs, fmt.Errorf("remove schema %s: %w", s.schema, err))...)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `DROP SCHEMA IF EXISTS `+pgsql.Name(s.schema)+` CASCADE`); err != nil {
		errs = append(errs, fmt.Errorf("remove schema %s: %w", s.schema, err))
	}
	return errors.Join(errs...)
}

// holdSnapshot opens a transaction that goes on seeing the database as it is now, as a backup or a
// long report does, and returns how to end it.
func (s *scratch) holdSnapshot(ctx context.Context) (release func() error, err error) {
	conn, err := pgx.Connect(ctx, s.dsn)
	if err != nil {
		return nil, fmt.Errorf("hold a snapshot: %w", err)
	}
	// The statement behind BEGIN is what takes the snapshot.
	for _, statement := range []string{"BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT txid_current()"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return nil, errors.Join(fmt.Errorf("hold a snapshot: %w", err), conn.Close(ctx))
		}
	}
	return func() error { return conn.Close(context.WithoutCancel(ctx)) }, nil
}
