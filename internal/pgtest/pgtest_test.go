package pgtest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

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
		// A connection that stays open does not keep it.
		connect(t, db.DSN)
		db.LeavesConnections()
	})
	if exists(t, other.DSN, `SELECT FROM pg_database WHERE datname = $1`, name) {
		t.Errorf("database %s is still there", name)
	}
}

// inner is a test inside of a test, which may fail.
type inner struct {
	testing.TB
	failed       bool
	errors, logs []string
	cleanups     []func()
}

func (i *inner) Failed() bool                 { return i.failed }
func (i *inner) Cleanup(c func())             { i.cleanups = append(i.cleanups, c) }
func (i *inner) Logf(format string, a ...any) { i.logs = append(i.logs, fmt.Sprintf(format, a...)) }
func (i *inner) Errorf(format string, a ...any) {
	i.failed, i.errors = true, append(i.errors, fmt.Sprintf(format, a...))
}

func (i *inner) end() {
	for _, f := range slices.Backward(i.cleanups) {
		f()
	}
}

func TestDatabaseOfAFailedTestIsKept(t *testing.T) {
	s := pgtest.NewServer(t, pgembed.Config{})
	t.Setenv(pgtest.EnvURL, s.DSN("postgres"))
	i := &inner{TB: t, failed: true}
	db := pgtest.New(i)
	i.end()
	if !exists(t, s.DSN("postgres"), `SELECT FROM pg_database WHERE datname = $1`, databaseOf(t, db.DSN)) {
		t.Error("it is gone")
	}
	if logs := strings.Join(i.logs, "\n"); !strings.Contains(logs, "psql '"+db.DSN+"'") {
		t.Errorf("the log does not say how to look at it: %q", logs)
	}
}

func TestConnectionLeftBehindFailsItsTest(t *testing.T) {
	t.Parallel()
	i := &inner{TB: t}
	db := pgtest.NewEmpty(i)
	db.Impatient()
	connect(t, db.DSN)
	i.end()
	if len(i.errors) != 1 || !strings.Contains(i.errors[0], "forgotten, idle in transaction") || !strings.HasSuffix(i.errors[0], "last: BEGIN") {
		t.Errorf("errors = %q, want one that describes the connection", i.errors)
	}
}

// A session is not gone yet when its client is.
func TestConnectionThatIsEndingIsWaitedFor(t *testing.T) {
	t.Parallel()
	i := &inner{TB: t}
	conn := connect(t, pgtest.NewEmpty(i).DSN)
	time.AfterFunc(100*time.Millisecond, func() { _ = conn.PgConn().Conn().Close() }) // as by a process that dies
	i.end()
	if len(i.errors) > 0 {
		t.Errorf("errors = %q, want none", i.errors)
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

// connect returns a connection in a transaction, closed at the test's end.
func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the server may have closed it
	for _, sql := range []string{`SET application_name = 'forgotten'`, `BEGIN`} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return conn
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
