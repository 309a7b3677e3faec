package pgtest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	for i := range 6 {
		t.Run(fmt.Sprint("test ", i), func(t *testing.T) {
			t.Parallel()
			db := pgtest.New(t)
			if _, err := db.Pool.Exec(t.Context(), `CREATE TABLE mine ()`); err != nil {
				t.Error(err)
			}
			st, err := migrations.Status(t.Context(), db.DSN, db.Schema)
			if err != nil || st.Pending() || st.Dirty {
				t.Errorf("Status = %+v, %v, want all migrations applied", st, err)
			}
		})
	}
}

func TestEmptyDatabaseHasNoSchema(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	if exists(t, db.DSN, `SELECT FROM pg_namespace WHERE nspname = $1`, db.Schema) {
		t.Errorf("schema %s exists", db.Schema)
	}
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	t.Parallel()
	other := pgtest.NewEmpty(t)
	var name string
	t.Run(strings.Repeat("with a long name, ÄÖÜ and \"quotes\"; ", 5), func(t *testing.T) {
		db := pgtest.New(t)
		name = databaseOf(t, db.DSN)
		if len(name) > 63 || !exists(t, other.DSN, `SELECT FROM pg_database WHERE datname = $1`, name) {
			t.Errorf("no database has the name %q", name)
		}
		// A connection that the test forgets does not keep it.
		if _, err := pgx.Connect(t.Context(), db.DSN); err != nil {
			t.Error(err)
		}
	})
	if exists(t, other.DSN, `SELECT FROM pg_database WHERE datname = $1`, name) {
		t.Errorf("database %s is still there", name)
	}
}

// failing is a test that has failed.
type failing struct {
	testing.TB
	logs     []string
	cleanups []func()
}

func (f *failing) Failed() bool                 { return true }
func (f *failing) Cleanup(c func())             { f.cleanups = append(f.cleanups, c) }
func (f *failing) Logf(format string, a ...any) { f.logs = append(f.logs, fmt.Sprintf(format, a...)) }

func TestDatabaseOfAFailedTestIsKept(t *testing.T) {
	s := pgtest.NewServer(t, pgembed.Config{})
	t.Setenv(pgtest.EnvURL, s.DSN("postgres"))
	f := &failing{TB: t}
	db := pgtest.New(f)
	for i := range f.cleanups {
		f.cleanups[len(f.cleanups)-1-i]()
	}
	if !exists(t, s.DSN("postgres"), `SELECT FROM pg_database WHERE datname = $1`, databaseOf(t, db.DSN)) {
		t.Error("it is gone")
	}
	if logs := strings.Join(f.logs, "\n"); !strings.Contains(logs, "psql '"+db.DSN+"'") {
		t.Errorf("the log does not say how to look at it: %q", logs)
	}
}

func TestPrivateServerCanBeKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	dir := pgtest.DataDir(t)
	s := pgtest.NewServer(t, pgembed.Config{DataDir: dir})
	p, err := os.FindProcess(s.PID())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.Stopped()
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	s = pgtest.NewServer(t, pgembed.Config{DataDir: dir})
	if !exists(t, s.DSN(pgembed.Database), `SELECT`) {
		t.Error("no answer")
	}
}

// exists reports whether a query finds a row.
func exists(t *testing.T, dsn, sql string, args ...any) (ok bool) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), `SELECT EXISTS (`+sql+`)`, args...).Scan(&ok); err != nil {
		t.Fatal(err)
	}
	return ok
}

func databaseOf(t *testing.T, dsn string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}
