package chaos

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// sessions are held open all the while: they keep PostgreSQL from cleaning up,
// and must keep nobody from working.
var sessions = map[string]string{
	"a long snapshot":     `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM (SELECT FROM recount.events LIMIT 1) e`,
	"idle in transaction": `BEGIN; SELECT FROM recount.events LIMIT 1; CREATE TEMPORARY TABLE held (n int)`,
}

// hold keeps a session open until ctx ends, and opens another one when
// PostgreSQL has dropped it.
func (r *run) hold(ctx context.Context, name, sql string) {
	for ctx.Err() == nil {
		_ = r.onDatabase(ctx, func(conn *pgx.Conn) error { // a broken one is opened again
			if _, err := conn.Exec(ctx, sql); err != nil {
				return err
			}
			r.count("session held: " + name)
			for ctx.Err() == nil {
				wait(ctx, 500*time.Millisecond)
				if _, err := conn.Exec(ctx, "SELECT 1"); err != nil {
					return err
				}
			}
			return nil
		})
		wait(ctx, 200*time.Millisecond)
	}
}
