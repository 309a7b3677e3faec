package projections

import (
	"maps"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/operations"
)

// TestOldOperationsAreForgotten ends operations beside more than are kept, of their kind, of
// another and of another projection.
func TestOldOperationsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	r := b.start(b.runner(newAccounts(1), newTotals("totals")))
	b.arrives(r, "accounts", b.fill(5))
	b.stop(r)
	const keepOperations, many, highest = 100, 120, 50
	// The oldest has a higher generation than those that came after it.
	_, err := b.pool().Exec(t.Context(), `
WITH ended AS (
    INSERT INTO recount.projection_operations (id, projection, kind, version, options, state, requested_by, generation, created_at)
    SELECT gen_random_uuid(), projection, kind, 1, '{}', 'done', 'test', CASE WHEN kind = 'rebuild' AND n = $1 THEN $2 ELSE 0 END,
           now() - n * interval '1 minute'
    FROM generate_series(1, $1) n, unnest('{accounts,totals}'::text[]) projection, unnest('{rebuild,verify}'::text[]) kind
    RETURNING id
)
INSERT INTO recount.projection_buckets (operation, bucket, rows, events, digest)
SELECT id, 1, 0, 0, decode(repeat('00', 16), 'hex') FROM ended`, many, highest)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"accounts rebuild": many, "accounts verify": many, "totals rebuild": many, "totals verify": many}
	check := func(after string) {
		t.Helper()
		if got := b.operationCounts(); !maps.Equal(got, want) {
			t.Errorf("after a %s there are %v operations, want %v", after, got, want)
		}
	}

	b.run(r, Verify)
	want["accounts verify"] = keepOperations
	check("verification")

	op, err := b.admin.Request(t.Context(), operations.Request{Kind: Rebuild, Subject: "accounts"})
	if err != nil {
		t.Fatal(err)
	}
	if op, err = b.admin.Cancel(t.Context(), op.ID); err != nil || op.State != operations.Cancelled {
		t.Fatalf("Cancel = %+v, %v", op, err)
	}
	want["accounts rebuild"] = keepOperations + 1 // and the one with the highest generation
	check("rebuild that built nothing")

	if op := b.run(r, Rebuild); op.Generation != highest+1 {
		t.Errorf("the rebuild made generation %d, want %d", op.Generation, highest+1)
	}
	want["accounts rebuild"] = keepOperations
	check("rebuild")
}

func (b *bench) run(r *Runner, kind operations.Kind) operations.Operation {
	b.Helper()
	op, err := r.Run(b.Context(), operations.Request{Kind: kind, Subject: "accounts"}, nil)
	if err != nil {
		b.Fatal(err)
	}
	return op
}

// operationCounts counts operations by projection and kind.
func (b *bench) operationCounts() map[string]int {
	b.Helper()
	rows, err := b.pool().Query(b.Context(), `SELECT projection || ' ' || kind, count(*) FROM recount.projection_operations GROUP BY 1`)
	if err != nil {
		b.Fatal(err)
	}
	counts := make(map[string]int)
	var name string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&name, &n}, func() error { counts[name] = n; return nil }); err != nil {
		b.Fatal(err)
	}
	return counts
}
