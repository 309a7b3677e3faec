package pgstore

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/pgtest"
)

// Plans are made when the tables are empty, and stay until the first ANALYZE:
// none may read a whole table that grows.
func TestPlansForEmptyTables(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	statements := map[string]string{
		"head": selectHead, "streams": selectStreams, "receipts": selectReceipts, "known ids": selectKnown,
		"names": selectNames, "names of a range": selectNamesBetween, "state of a stream": selectStreamState, "page": fmt.Sprintf(pageOfLog, "ASC"),
		"positions": positionsOfLog,
		"a stream":  streamForwards, "streams together": streamsForwards,
	}
	for name, sql := range statements {
		if plan := genericPlan(t, conn, pgsql.In(db.Schema, sql)); readsWholeTable(plan) {
			t.Errorf("%s:\n%s", name, plan)
		}
	}
	// The way it was. If this is planned well, the test proves nothing.
	join := `SELECT s.id FROM unnest($1::text[]) AS u(name) JOIN recount.streams s ON s.name = u.name`
	if plan := genericPlan(t, conn, join); !readsWholeTable(plan) {
		t.Errorf("a join is not planned as a scan:\n%s", plan)
	}
}

// A plan that is better for its parameters is made anew each time, which takes
// longer than these statements.
func TestPlansAreKept(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	if mode := conn.Config().DefaultQueryExecMode; mode != pgx.QueryExecModeCacheStatement {
		t.Skipf("in the mode %q no statement is prepared", mode)
	}
	name, id := []string{"order-1"}, []int64{1}
	for sql, args := range map[string][]any{
		selectStreams: {name}, selectReceipts: {name, name}, selectKnown: {name, id, []string{"00000000-0000-0000-0000-000000000001"}},
		selectNames: {id}, streamForwards: {"order-1", 0, firstPage}, streamsForwards: {name, id, firstPage},
	} {
		sql = pgsql.In(db.Schema, sql)
		for range 7 { // after five PostgreSQL chooses
			if err := exec(t.Context(), conn, sql, args...); err != nil {
				t.Fatal(err)
			}
		}
		kept := int64(0)
		err := conn.QueryRow(t.Context(), "SELECT generic_plans FROM pg_prepared_statements WHERE statement = $1", sql).Scan(&kept)
		if err != nil || kept == 0 {
			t.Errorf("the plan was kept for %d of 7, %v:\n%s", kept, err, sql)
		}
	}
}

// A plan for more rows than there are is compiled first (jit_above_cost), which takes longer than the
// statement: what is counted at a time is a small part of a long log.
func TestPlansOfContentsAreNotCompiled(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	conn := db.Connect(t)
	s := openPlain(t, db)
	a := eventstore.StreamAppend{Stream: "order-1", Expected: eventstore.NoStream, Events: slices.Repeat([]eventstore.Event{{Type: "A", SchemaVersion: 1}}, 100)}
	if _, err := s.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	const long = `ANALYZE recount.events; UPDATE pg_class SET reltuples = 1e8 WHERE oid = 'recount.events'::regclass`
	if _, err := conn.Exec(t.Context(), long, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	for sql, args := range map[string][]any{selectCounted: nil, countContents: {int64(99), int64(100)}, selectContents: {int64(100)}} {
		var plan []struct {
			Plan struct {
				TotalCost float64 `json:"Total Cost"`
			}
		}
		if err := conn.QueryRow(t.Context(), "EXPLAIN (FORMAT json) "+pgsql.In(db.Schema, sql), args...).Scan(&plan); err != nil {
			t.Fatal(err)
		}
		if cost := plan[0].Plan.TotalCost; cost > 100_000 {
			t.Errorf("the cost is %.0f:\n%s", cost, sql)
		}
	}
}

func readsWholeTable(plan string) bool {
	return regexp.MustCompile(`Seq Scan on (events|streams|receipts)`).MatchString(plan)
}

// genericPlan returns how sql is executed whatever its parameters are.
func genericPlan(t *testing.T, conn *pgx.Conn, sql string) string {
	t.Helper()
	parameters := 0
	for strings.Contains(sql, fmt.Sprintf("$%d", parameters+1)) {
		parameters++
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", parameters), ", ")
	execute := "EXECUTE statement"
	if parameters > 0 {
		execute += "(" + nulls + ")"
	}
	for _, step := range []string{"SET plan_cache_mode = force_generic_plan", "DEALLOCATE ALL", "PREPARE statement AS " + sql} {
		if _, err := conn.Exec(t.Context(), step, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	rows, err := conn.Query(t.Context(), "EXPLAIN "+execute, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return strings.Join(lines, "\n")
}
