package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
)

// observations are what a database says of who waits for whom, and of how projections are. What
// changes soonest is looked at first.
var observations = []struct{ of, sql string }{
	{"backends", `
SELECT row_to_json(b)::text FROM (
    SELECT pid, pg_blocking_pids(pid) AS blocked_by, backend_type, application_name, state, wait_event_type, wait_event,
           clock_timestamp() - xact_start AS in_transaction, clock_timestamp() - state_change AS in_state, left(query, 200) AS query
    FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY xact_start
) b`},
	{"generations", `SELECT row_to_json(g)::text FROM recount.projection_generations g ORDER BY projection, generation`},
	{"projections", `SELECT row_to_json(p)::text FROM recount.projections p ORDER BY name`},
	{"operations, the latest first", `SELECT row_to_json(o)::text FROM recount.projection_operations o ORDER BY created_at DESC LIMIT 20`},
	{"head of the log", `SELECT coalesce(max(position), 0)::text FROM recount.events`},
}

// observationTimeout bounds each look at a system that may not answer.
const observationTimeout = 5 * time.Second

// evidence says what a server, with its database, is doing right now: for a test that has failed
// and is about to end all of it. What cannot be seen is said in its place.
func evidence(ctx context.Context, db *pgtest.DB, admin string) string {
	var b strings.Builder
	for _, o := range observations {
		fmt.Fprintf(&b, "%s at %s:\n", o.of, time.Now().UTC().Format(time.RFC3339Nano))
		rows, err := observe(ctx, db, o.sql)
		if err != nil {
			rows = []string{err.Error()}
		}
		for _, row := range rows {
			fmt.Fprintf(&b, "\t%s\n", row)
		}
	}
	stacks, err := stacksOf(ctx, admin, "/projections.")
	if err != nil {
		stacks = err.Error()
	}
	fmt.Fprintf(&b, "goroutines in projections:\n%s\n", stacks)
	return b.String()
}

func observe(ctx context.Context, db *pgtest.DB, sql string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, observationTimeout)
	defer cancel()
	rows, err := db.Pool.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// stacksOf returns the stacks of a server's goroutines in which a text is.
func stacksOf(ctx context.Context, admin, text string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, observationTimeout)
	defer cancel()
	all, err := askOnce(ctx, http.MethodGet, admin+"/debug/pprof/goroutine?debug=2", "", nil)
	if err != nil {
		return "", err
	}
	var found []string
	for stack := range strings.SplitSeq(all.body, "\n\n") {
		if strings.Contains(stack, text) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n"), nil
}

func TestEvidenceNamesWhoHoldsAProjectionUp(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	server, url := startServe(t, db, "--admin", "127.0.0.1:0")
	admin := adminOf(t, server)
	placeAndRead(t, url, url, "1")
	tx, err := db.Pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }() // it wrote nothing
	if _, err := tx.Exec(t.Context(), `SELECT FROM recount.projection_generations FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	call(t, "POST", url+"/v1/stock/TEA/receive", `{"quantity":1}`)
	blocked := fmt.Sprintf(`"blocked_by":[%d`, tx.Conn().PgConn().PID())
	var said string
	until(t, "a projection is held up", func() bool {
		said = evidence(t.Context(), db, admin)
		return strings.Contains(said, blocked)
	})
	for _, want := range []string{`"projection":"stock_levels"`, "recount/projections.", "operations, the latest first", "head of the log"} {
		if !strings.Contains(said, want) {
			t.Errorf("the evidence has no %q:\n%s", want, said)
		}
	}
}

func TestALogIsShownWithTheLastRequestsOnly(t *testing.T) {
	t.Parallel()
	line := func(level, message string, n int) string {
		return fmt.Sprintf(`{"level":%q,"n":%d,"message":%q}`+"\n", level, n, message)
	}
	log, want := line("info", "serving", 0)+line("error", "request", 0), line("info", "serving", 0)+line("error", "request", 0)
	for n := range maxRequests + 5 {
		log += line("info", "request", n)
		if n >= 5 {
			want += line("info", "request", n)
		}
	}
	log, want = log+line("warn", "projection is interrupted", 0), want+line("warn", "projection is interrupted", 0)
	if got := lastOf(log); got != want {
		t.Errorf("lastOf = %s, want %s", got, want)
	}
	if got := lastOf(strings.Repeat("x", maxSaid+1)); len(got) != maxSaid {
		t.Errorf("lastOf = %d bytes, want %d", len(got), maxSaid)
	}
}
