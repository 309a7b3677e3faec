package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
)

const (
	// lockTimeout bounds every wait of a migration for a lock, and so the time that appends can
	// be stuck behind it. It is longer than PostgreSQL's deadlock_timeout (1s): after that time
	// an autovacuum in the way is cancelled; a shorter wait would never get past one.
	lockTimeout = 1500 * time.Millisecond
	// lockPause is how long appends have the tables to themselves between two tries.
	lockPause = time.Second
	// patience is how long a file is tried before the migration gives up with ErrLocked.
	patience = time.Minute
	// migratorWait bounds the wait for another process that is migrating the same schema.
	migratorWait = time.Hour
)

// connConfig is dsn with the session settings of a migration.
func connConfig(dsn, schema string) (*pgx.ConnConfig, error) {
	if err := checkSchema(schema); err != nil {
		return nil, err
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, fmt.Errorf("read the database's address: %w", err)
	}
	pgsession.Set(cfg)
	cfg.RuntimeParams["search_path"] = pgsql.Name(schema)
	cfg.RuntimeParams["lock_timeout"] = fmt.Sprint(lockTimeout.Milliseconds())
	cfg.RuntimeParams["application_name"] = "recount-migrate"
	return cfg, nil
}

// checkSettings returns a *PoolerError if a session has not taken the settings of connConfig: the
// files name no schema.
func checkSettings(ctx context.Context, conn *pgx.Conn) error {
	results, err := conn.PgConn().Exec(ctx, "SHOW search_path").ReadAll()
	if err != nil {
		return err
	}
	if string(results[0].Rows[0][0]) != conn.Config().RuntimeParams["search_path"] {
		return &PoolerError{}
	}
	return pgsession.CheckConn(ctx, conn)
}

// settingsRefused returns a *PoolerError for the answer of a pooler to settings, else err.
func settingsRefused(err error) error {
	if pgsession.IsStartupRefused(err) {
		return &PoolerError{cause: err}
	}
	return err
}

// checkSchema rejects names that PostgreSQL would cut short or refuse.
func checkSchema(schema string) error {
	switch {
	case schema == "":
		return errors.New("the schema has no name")
	case len(schema) > 63:
		return fmt.Errorf("schema name %q is longer than 63 bytes", schema)
	case strings.ContainsRune(schema, 0):
		return fmt.Errorf("schema name %q has a zero byte", schema)
	case strings.HasPrefix(schema, "pg_"):
		return fmt.Errorf("schema name %q: names that start with pg_ belong to PostgreSQL", schema)
	}
	return nil
}

// open returns a migrator for schema, which must exist, and the driver that it uses. Its Close ends
// the connection.
func (s Set) open(ctx context.Context, dsn, schema string) (*migrate.Migrate, *driver, error) {
	cfg, err := connConfig(dsn, schema)
	if err != nil {
		return nil, nil, err
	}
	source, err := iofs.New(s.files, ".")
	if err != nil {
		return nil, nil, fmt.Errorf("read the migrations: %w", err)
	}
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(checkSettings))
	d := &driver{ctx: ctx, table: pgsql.Name(schema, s.table)}
	// WithInstance creates the version table under the migrators' lock, hence the wait.
	err = whileLocked(ctx, migratorWait, func() (err error) {
		d.Driver, err = migratepgx.WithInstance(db, &migratepgx.Config{SchemaName: schema, MigrationsTable: s.table})
		return err
	})
	if err != nil {
		return nil, nil, errors.Join(settingsRefused(err), db.Close())
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", d)
	if err != nil {
		return nil, nil, errors.Join(err, d.Close())
	}
	m.LockTimeout = migratorWait + time.Minute // the driver ends the wait itself
	return m, d, nil
}

// createSchema creates schema unless it is there. It looks first, since CREATE SCHEMA IF NOT
// EXISTS asks for the right to create even where nothing is to be created.
func createSchema(ctx context.Context, dsn, schema string) error {
	cfg, err := connConfig(dsn, schema)
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		defer closeConn(ctx, conn)
		err = checkSettings(ctx, conn)
	}
	if err != nil {
		return fmt.Errorf("connect to the database: %w", settingsRefused(err))
	}

	var exists bool
	err = conn.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, schema).Scan(&exists)
	if err != nil {
		return fmt.Errorf("look for schema %q: %w", schema, err)
	}
	if exists {
		return nil
	}
	_, err = conn.Exec(ctx, `CREATE SCHEMA IF NOT EXISTS `+pgsql.Name(schema))
	if pgerr.Is(err, pgerr.UniqueViolation) {
		return nil // another process created it just now; IF NOT EXISTS does not cover that
	}
	if err != nil {
		return fmt.Errorf("create schema %q: %w", schema, err)
	}
	return nil
}

func closeConn(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	conn.Close(ctx)
}
