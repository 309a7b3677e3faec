package queries_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// TestEveryWayToRunStatements runs projections and reads as programs behind a connection pooler
// must.
func TestEveryWayToRunStatements(t *testing.T) {
	t.Parallel()
	for _, mode := range pgtest.ExecModes() {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			pool := b.db.NewPool(t, func(c *pgxpool.Config) { c.ConnConfig.DefaultQueryExecMode = mode })
			b.db = &pgtest.DB{DSN: b.db.DSN, Schema: b.db.Schema, Pool: pool}
			b.admin = projections.NewAdmin(pool, b.db.Schema, b.store)
			b.reader = b.newReader(queries.Config{})
			b.start()
			b.fill()
			token := b.append("order-1", placed{Customer: ptr("ann"), At: day(1)})
			if _, err := queries.Get(b.patiently(), b.reader, b.orders, "1", token); err != nil {
				t.Errorf("Get: %v", err)
			}
			keys, err := b.pages(b.reader, queries.List{Where: map[string]any{"customer_id": "ann"}, OrderBy: "placed_at", Limit: 3})
			if err != nil || len(keys) != 14 {
				t.Errorf("Find = %q, %v, want 14 orders", keys, err)
			}
			counts, err := queries.SQL[int64](t.Context(), b.reader, token, `SELECT count(*) FROM {orders} WHERE customer_id = $1`, "ann")
			if err != nil || counts[0] != 14 {
				t.Errorf("SQL = %v, %v, want [14]", counts, err)
			}
			b.append("order-2", placed{Status: "refuse"})
			for s := (projections.Status{}); s.State != operations.Failed; {
				all, err := b.admin.Show(b.patiently(), "orders")
				if err != nil {
					t.Fatal(err)
				}
				s = all[0]
			}
			if _, err := b.admin.Skip(t.Context(), "orders", 0, "test", "test"); err != nil {
				t.Errorf("Skip: %v", err)
			}
			if err := b.admin.Pause(t.Context(), "orders", "", "test"); err != nil {
				t.Errorf("Pause: %v", err)
			}
		})
	}
}
