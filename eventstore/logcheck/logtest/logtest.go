// Package logtest judges, when a test ends, the log that it has written and what
// was made of it.
package logtest

import (
	"context"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/internal/pgtest"
)

// New is pgtest.New for a test whose log must be whole at its end. Stores and
// processes that the test starts on it are stopped by then.
func New(t testing.TB) *pgtest.DB {
	t.Helper()
	db := pgtest.New(t)
	pglog.CheckAtEnd(t, db.Pool, db.Schema)
	return db
}

// Projections checks, when the test ends, a log wherever it is, and the
// checkpoints that projections of it have in db. Counted has those that are
// looked at, with the events that each counts, by then.
func Projections(t testing.TB, db *pgtest.DB, log eventstore.Reader, counted map[pglog.Projection]eventstore.Filter) {
	t.Helper()
	t.Cleanup(func() {
		l, err := logcheck.ReadLog(context.Background(), log)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		logcheck.Test(t, logcheck.CheckLog(l))
		checkpoints, err := pglog.Checkpoints(context.Background(), db.Pool, db.Schema, counted)
		if err != nil {
			t.Errorf("%v", err)
			return
		}
		logcheck.Test(t, logcheck.Checkpoints(l, checkpoints...))
	})
}
