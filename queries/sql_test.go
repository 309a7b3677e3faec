package queries_test

import (
	"cmp"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

type perStatus struct {
	Status   string
	Orders   int64
	Average  float64
	LastAt   time.Time
	Customer *string `db:"customer"`
	Tags     []string
}

func TestSQLScansByName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	token := b.append("order-x", placed{Status: "lost", Total: 3, At: day(9)})
	got, err := queries.SQL[perStatus](b.patiently(), b.reader, token, `
		SELECT max(placed_at) AS last_at, avg(total) AS average, count(*) AS orders, status, max(customer_id) AS customer, '["a"]'::jsonb AS tags
		FROM {orders} AS o WHERE status <> $1 AND EXISTS (SELECT FROM {orders} p WHERE p.id = o.id)
		GROUP BY status ORDER BY status`, "placed")
	want := []perStatus{
		{Status: "lost", Orders: 1, Average: 3, LastAt: day(9), Tags: []string{"a"}},
		{Status: "shipped", Orders: 20, Average: 2, LastAt: day(6), Customer: ptr("ann"), Tags: []string{"a"}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("SQL = %+v, %v, want %+v", got, err, want)
	}
	counts, err := queries.SQL[int64](t.Context(), b.reader, eventstore.Token{}, `SELECT count(*) FROM {orders}`)
	if err != nil || len(counts) != 1 || counts[0] != 41 {
		t.Errorf("SQL of one column = %v, %v, want [41]", counts, err)
	}
	none, err := queries.SQL[string](t.Context(), b.reader, eventstore.Token{}, `SELECT id FROM {orders} WHERE false`)
	if err != nil || len(none) != 0 {
		t.Errorf("SQL of nothing = %v, %v, want none", none, err)
	}
}

// TestSQLWaitsForAllItsProjections: a join is as far as the last of its tables.
func TestSQLWaitsForAllItsProjections(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type row struct{ N int64 }
	counts := projections.NewFold[string, row](projections.Table{Name: "counts", Version: 1})
	projections.Upsert(counts, projections.ByID, func(r *row, _ placed, _ projections.Recorded) error { r.N++; return nil })
	b.start(b.orders, counts)
	both := `SELECT c.n FROM {orders} o JOIN {counts} c ON c.id = o.id`
	for i := range 20 {
		got, err := queries.SQL[int64](b.patiently(), b.reader, b.append("order-1", placed{}), both)
		if err != nil || len(got) != 1 || got[0] != int64(i+1) {
			t.Fatalf("SQL = %v, %v, want [%d]", got, err, i+1)
		}
	}
	if err := b.admin.Pause(t.Context(), "counts", "", "test"); err != nil {
		t.Fatal(err)
	}
	_, err := queries.SQL[int64](b.patiently(), b.reader, b.append("order-1", placed{}), both)
	var behind *queries.BehindError
	if !errors.As(err, &behind) || behind.Projection != "counts" || behind.Reason == "" {
		t.Errorf("SQL = %v, want that counts is paused", err)
	}
}

func TestSQLRefusesWhatItCannotDo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	try := func(name, want string, invalid bool, query func() error) {
		t.Helper()
		err := query()
		if err == nil || errors.Is(err, queries.ErrInvalidQuery) != invalid || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: SQL = %v, want an error with %q (ErrInvalidQuery: %v)", name, err, want, invalid)
		}
	}
	of := func(sql string, args ...any) func() error {
		return func() error {
			_, err := queries.SQL[struct{ ID string }](t.Context(), b.reader, eventstore.Token{}, sql, args...)
			return err
		}
	}
	try("no projection", "names no projection", true, of(`SELECT 1 AS id`))
	try("unknown column", `the column "total" has no field in struct { ID string }; fields are id`, true, of(`SELECT id, total FROM {orders}`))
	try("missing column", `has no column "id"`, true, of(`SELECT FROM {orders}`))
	try("NUL", "$1 has a NUL", true, of(`SELECT id FROM {orders} WHERE id = $1`, "\x00"))
	try("writes", "read-only transaction", false, of(`DELETE FROM {orders} RETURNING id`))
	try("syntax", "syntax error", false, of(`SELEC id FROM {orders}`))
	try("NULL", "cannot scan NULL", false, of(`SELECT NULL::text AS id FROM {orders}`))
	try("two columns for one", "takes one column", true, func() error {
		_, err := queries.SQL[int64](t.Context(), b.reader, eventstore.Token{}, `SELECT 1, 2 FROM {orders}`)
		return err
	})
	try("hostile type", "cannot be a column", true, func() error {
		_, err := queries.SQL[struct{ A chan int }](t.Context(), b.reader, eventstore.Token{}, `SELECT 1 FROM {orders}`)
		return err
	})
	impatient := b.newReader(queries.Config{Wait: 30 * time.Millisecond})
	if _, err := queries.SQL[int64](t.Context(), impatient, eventstore.Token{}, `SELECT 1 FROM {nope}`); !errors.Is(err, queries.ErrBehind) {
		t.Errorf("SQL of an unknown projection = %v, want ErrBehind", err)
	}
}

// Pages of a list meet every row once, whatever the page size and the direction.
func TestSQLPagesLeadThroughTheList(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	type row struct {
		ID       string
		PlacedAt time.Time
	}
	list := queries.SQLList{
		SQL: `SELECT id, placed_at FROM {orders} WHERE total >= $1`, OrderBy: []string{"placed_at", "id"},
	}
	for _, desc := range []bool{false, true} {
		for _, limit := range []int{0, 1, 7, 40} {
			list.Desc, list.Limit, list.Cursor = desc, limit, ""
			var all []row
			for pages := 0; pages == 0 || list.Cursor != ""; pages++ {
				list.Args = []any{new(int)} // the same value at another address
				rows, next, err := queries.SQLPage[row](b.patiently(), b.reader, list)
				if err != nil {
					t.Fatal(err)
				}
				all, list.Cursor = append(all, rows...), next
			}
			ordered := slices.IsSortedFunc(all, func(x, y row) int {
				if desc {
					x, y = y, x
				}
				return cmp.Or(x.PlacedAt.Compare(y.PlacedAt), strings.Compare(x.ID, y.ID))
			})
			ids := make(map[string]bool)
			for _, r := range all {
				ids[r.ID] = true
			}
			if !ordered || len(all) != 40 || len(ids) != 40 {
				t.Errorf("desc %t, limit %d: %d rows, %d of them different, in order: %t; want all 40", desc, limit, len(all), len(ids), ordered)
			}
		}
	}
	list.Desc, list.Limit, list.Cursor = false, 1, ""
	_, next, err := queries.SQLPage[row](b.patiently(), b.reader, list)
	if err != nil || next == "" {
		t.Fatalf("SQLPage = %q, %v; want a next page", next, err)
	}
	other := list
	other.Args, other.Cursor = []any{1}, next
	_, _, err = queries.SQLPage[row](b.patiently(), b.reader, other)
	if !errors.Is(err, queries.ErrInvalidCursor) {
		t.Errorf("the cursor of another list: %v, want ErrInvalidCursor", err)
	}
	other = list
	other.OrderBy = []string{"total"}
	_, _, err = queries.SQLPage[row](b.patiently(), b.reader, other)
	if !errors.Is(err, queries.ErrInvalidQuery) {
		t.Errorf("an order that rows do not have: %v, want ErrInvalidQuery", err)
	}
}
