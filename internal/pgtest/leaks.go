package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// patience is how long the server has to see that clients are gone, and goroutines to see that what
// they were for is over: a pool's Close and the death of a process are over before their sessions
// are.
const patience = 30 * time.Second

// LeavesConnections says that the test ends, on purpose, with connections to its
// database that it cannot close, such as those that a pooler keeps. They are not
// reported then.
func (db *DB) LeavesConnections() { db.leavesConnections = true }

// connectionsSQL describes a connection whose client says nothing of itself too.
const connectionsSQL = `
SELECT format('%s, %s, backend %s since %s, last: %s', coalesce(nullif(application_name, ''), 'unnamed'),
              coalesce(state, 'no state'), pid, backend_start,
              coalesce(nullif(left(regexp_replace(query, '\s+', ' ', 'g'), 200), ''), 'nothing'))
FROM pg_stat_activity
WHERE datname = $1 AND backend_type = 'client backend'
ORDER BY backend_start`

// wantNobody reports the connections to the database name that do not go away.
func wantNobody(ctx context.Context, t testing.TB, admin *pgx.Conn, name string, patience time.Duration) error {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		rows, err := admin.Query(ctx, connectionsSQL, name)
		if err != nil {
			return fmt.Errorf("look who is connected: %w", err)
		}
		left, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return fmt.Errorf("look who is connected: %w", err)
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			for _, connection := range left {
				t.Errorf("the test left a connection behind: %s", connection)
			}
			return nil
		}
	}
}

// goroutinesLeft returns an error that names the goroutines that do not end. Goleak by itself has
// less than a second for them.
func goroutinesLeft() error {
	for deadline := time.Now().Add(patience); ; {
		if err := goleak.Find(); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}
