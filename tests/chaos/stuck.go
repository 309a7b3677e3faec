package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// looks say what the system is at, each as lines of text.
var looks = []struct{ what, sql string }{
	{"sessions", `
SELECT format('%s %s %s/%s, transaction since %s, blocked by %s: %s', application_name, state, wait_event_type, wait_event,
              clock_timestamp() - xact_start, pg_blocking_pids(pid), left(regexp_replace(query, '\s+', ' ', 'g'), 200))
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY xact_start`},
	{"generations", `
SELECT format('%s %s: serving %s, built %s, position %s, owner %s until %s, epoch %s, trouble %s, failure %s',
              projection, generation, serving, built, position, owner, lease_expires_at, epoch, trouble, failure)
FROM recount.projection_generations ORDER BY projection, generation`},
	{"operations", `
SELECT format('%s %s of %s, generation %s: %s, owner %s until %s, epoch %s', id, kind, projection, generation, phase, owner, lease_expires_at, epoch)
FROM recount.projection_operations WHERE state = 'running'`},
}

// lookAround writes down what the system is at, for somebody who wants to know why it is stuck.
func (r *run) lookAround(ctx context.Context, why string) {
	path := filepath.Join(r.dir, "stuck.txt")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		r.problem(err)
		return
	}
	var text strings.Builder
	fmt.Fprintf(&text, "== %s\n", why)
	err = r.onDatabase(ctx, func(conn *pgx.Conn) error {
		for _, look := range looks {
			rows, err := conn.Query(ctx, look.sql)
			if err != nil {
				return err
			}
			lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return fmt.Errorf("%s: %w", look.what, err)
			}
			fmt.Fprintf(&text, "%s:\n  %s\n", look.what, strings.Join(lines, "\n  "))
		}
		return nil
	})
	if err != nil {
		fmt.Fprintf(&text, "%v\n", err)
	}
	if _, err := file.WriteString(text.String()); err != nil {
		r.problem(err)
	}
	if err := file.Close(); err != nil {
		r.problem(err)
	}
	r.note("%s: see %s", why, path)
}
