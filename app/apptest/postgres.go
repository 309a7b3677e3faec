package apptest

import (
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/internal/pgtest"
)

// Postgres runs an App on a database of its own, with the tables of its modules too, until the test ends. The
// server is the one that $RECOUNT_TEST_DATABASE_URL names, else one of this test process, which the
// first test that needs it starts: see Main. Without PostgreSQL on the machine the test is skipped.
func Postgres(t testing.TB, a app.App) *Test {
	t.Helper()
	db := pgtest.New(t)
	if _, err := a.MigrateUp(t.Context(), db.Direct, db.Schema); err != nil {
		t.Fatal(err)
	}
	box, server := startInbox(t)
	clock := new(clock)
	s, err := app.Open(t.Context(), a, app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8, Logger: logger(t), MailServer: server, AllowTargets: thisMachine, Now: clock.now})
	return start(t, s, box, clock, err)
}

// Main runs the tests of a package, stops the server that they used, and exits. A goroutine that
// they have left behind makes them fail. A package with tests on PostgreSQL has
//
//	func TestMain(m *testing.M) { apptest.Main(m) }
func Main(m *testing.M) { pgtest.Main(m) }
