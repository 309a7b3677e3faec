package pgtest

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/migrations"
)

// maxConns bounds the pool of a test: enough for a test of concurrency, and few enough for many
// tests at once.
const maxConns = 4

// DB is the database of one test.
type DB struct {
	DSN    string        // for connections of the test's own
	Direct string        // the same, past a pooler that EnvSettings puts before it: for migrations
	Schema string        // holds the tables, if the database has any
	Pool   *pgxpool.Pool // of at most 4 connections, closed at the test's end

	leavesConnections bool
	patience          time.Duration // with connections that are ending
}

// New returns a migrated database for one test. At the test's end nobody may be connected to it
// any more, or the test fails: see [DB.LeavesConnections]. Then it is dropped; if the test has
// failed before it stays, and the log says how to look at it. Without PostgreSQL on the machine
// the test is skipped.
func New(t testing.TB) *DB {
	t.Helper()
	return newDB(t, func(ctx context.Context, admin *pgx.Conn, name string) error {
		template, err := ensureTemplate(ctx, admin)
		if err != nil {
			return err
		}
		return clone(ctx, admin, name, template)
	})
}

// NewEmpty is New without tables and without the schema.
func NewEmpty(t testing.TB) *DB {
	t.Helper()
	return newDB(t, func(ctx context.Context, admin *pgx.Conn, name string) error {
		return clone(ctx, admin, name, "template0")
	})
}

func newDB(t testing.TB, create func(context.Context, *pgx.Conn, string) error) *DB {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	server, err := serverDSN()
	if err != nil {
		fatal(t, err)
	}
	name := databaseName(t.Name())
	err = withAdmin(ctx, server, func(admin *pgx.Conn) error { return create(ctx, admin, name) })
	if err != nil {
		fatal(t, fmt.Errorf("create database %s: %w", name, err))
	}
	db := &DB{Schema: migrations.DefaultSchema, patience: patience}
	// Registered before the pool's, and all of the test's: it runs after them.
	t.Cleanup(func() { db.end(t, server, name) })
	if db.DSN, err = withDatabase(server, name); err != nil {
		fatal(t, err)
	}
	if err := db.applySettings(ctx, t, server, name); err != nil {
		fatal(t, err)
	}
	db.Direct = cmp.Or(db.Direct, db.DSN)
	db.Pool = db.NewPool(t, nil)
	return db
}

// BehindPooler reports whether EnvSettings puts a pooler before the database.
func (db *DB) BehindPooler() bool { return db.Direct != db.DSN }

// NewPool returns a pool like Pool, as another process has one, but for what change, which may be
// nil, does to its configuration.
func (db *DB) NewPool(t testing.TB, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(db.DSN)
	if err != nil {
		fatal(t, err)
	}
	config.MaxConns = maxConns
	if change != nil {
		change(config)
	}
	pgsession.Configure(config)
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		fatal(t, err)
	}
	t.Cleanup(func() { closePool(t, pool) })
	return pool
}

// Connect returns a connection of no pool, nor behind a pooler, closed at the test's end.
func (db *DB) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig(db.Direct)
	if err != nil {
		fatal(t, err)
	}
	conn, err := pgsession.Connect(context.Background(), config)
	if err != nil {
		fatal(t, err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the test may have closed it
	return conn
}

// closePool closes the pool, and reports connections that the test did not give back.
func closePool(t testing.TB, pool *pgxpool.Pool) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		pool.Close()
	}()
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Errorf("%d connections of the test's pool were not given back", pool.Stat().AcquiredConns())
	}
}

// end wants nobody to be connected any more, and drops the database. If the test has failed
// already, both stay as they are.
func (db *DB) end(t testing.TB, server, name string) {
	t.Helper()
	if t.Failed() {
		if os.Getenv(EnvURL) == "" {
			t.Logf("the test's database goes with this process; to keep it, run `make postgres` in another terminal and follow what it says")
		} else {
			t.Logf("the test's database is kept: psql '%s'", db.DSN)
		}
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := withAdmin(ctx, server, func(admin *pgx.Conn) error {
		if !db.leavesConnections {
			if err := wantNobody(ctx, t, admin, name, db.patience); err != nil {
				return err
			}
		}
		_, err := admin.Exec(ctx, `DROP DATABASE IF EXISTS `+pgsql.Name(name)+` WITH (FORCE)`)
		return err
	})
	if err != nil {
		t.Errorf("drop database %s: %v", name, err)
	}
}

// databaseName makes a database name of a test's: at most 63 bytes, and unique.
func databaseName(test string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		default:
			return '_'
		}
	}, test)
	return "t_" + name[:min(len(name), 48)] + "_" + strings.ToLower(rand.Text()[:10])
}
