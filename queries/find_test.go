package queries_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

// fill makes orders with every mix of customer and status, several on each day, and waits for them.
func (b *bench) fill() []queries.Item[string, order] {
	b.Helper()
	var all []queries.Item[string, order]
	var token eventstore.Token
	for i := range 40 {
		o := order{Status: []string{"placed", "shipped"}[i%2], PlacedAt: day(1 + i/7), Total: int64(i % 5), Tags: []string{"t"}}
		if c := i % 3; c > 0 {
			o.CustomerID = ptr([]string{"ann", "Bob"}[c-1])
		}
		id := fmt.Sprintf("%02d", (i*17)%40)
		token = b.append("order-"+id, placed{Customer: o.CustomerID, Status: o.Status, At: o.PlacedAt, Total: o.Total})
		all = append(all, queries.Item[string, order]{Key: id, Row: o})
	}
	if _, err := queries.Get(b.patiently(), b.reader, b.orders, "00", token); err != nil {
		b.Fatal(err)
	}
	return all
}

// pages reads a list to its end and returns the keys.
func (b *bench) pages(r *queries.Reader, l queries.List) ([]string, error) {
	var keys []string
	for {
		page, err := queries.Find(b.Context(), r, b.orders, l)
		if err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			keys = append(keys, item.Key)
		}
		if page.Next == "" {
			return keys, nil
		}
		if len(page.Items) != l.Limit {
			return nil, fmt.Errorf("a page of %d with more to come, want %d", len(page.Items), l.Limit)
		}
		l.Cursor = page.Next
	}
}

// TestPagesAreTheListInOrder compares random lists, read in pages of random size from PostgreSQL and
// from memory, with a plain filter and sort.
func TestPagesAreTheListInOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	all := b.fill()
	rows, err := projections.NewInMemory(b.store, b.codec, b.orders)
	if err != nil {
		t.Fatal(err)
	}
	inMemory, err := queries.NewReader(queries.Config{InMemory: rows, Log: b.store})
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		l := queries.List{Desc: rapid.Bool().Draw(t, "desc"), Limit: rapid.IntRange(1, 50).Draw(t, "limit"), Where: map[string]any{}}
		customer := rapid.SampledFrom([]any{nil, "ann", "Bob", "nobody"})
		match := func(order) bool { return true }
		switch rapid.IntRange(0, 3).Draw(t, "shape") {
		case 0:
			l.OrderBy = "placed_at"
		case 1:
			l.OrderBy, l.Where["customer_id"] = "placed_at", customer.Draw(t, "customer")
		case 2:
			l.Where["customer_id"] = customer.Draw(t, "customer")
		}
		if want, ok := l.Where["customer_id"]; ok {
			match = func(o order) bool {
				if want == nil || o.CustomerID == nil {
					return want == nil && o.CustomerID == nil
				}
				return *o.CustomerID == want
			}
		}
		from, to := day(0), day(100)
		if l.OrderBy == "placed_at" && rapid.Bool().Draw(t, "limited") {
			from, to = day(rapid.IntRange(1, 4).Draw(t, "from")), day(rapid.IntRange(2, 8).Draw(t, "to"))
			l.From, l.To = from, to
		}
		var want []queries.Item[string, order]
		for _, item := range all {
			if match(item.Row) && !item.Row.PlacedAt.Before(from) && item.Row.PlacedAt.Before(to) {
				want = append(want, item)
			}
		}
		slices.SortFunc(want, func(x, y queries.Item[string, order]) int {
			c := strings.Compare(x.Key, y.Key)
			if l.OrderBy != "" && !x.Row.PlacedAt.Equal(y.Row.PlacedAt) {
				c = x.Row.PlacedAt.Compare(y.Row.PlacedAt)
			}
			if l.Desc {
				c = -c
			}
			return c
		})
		var keys []string
		for _, item := range want {
			keys = append(keys, item.Key)
		}
		for from, reader := range map[string]*queries.Reader{"PostgreSQL": b.reader, "memory": inMemory} {
			got, err := b.pages(reader, l)
			if err != nil || !slices.Equal(got, keys) {
				t.Fatalf("pages of %+v from %s = %q, %v, want %q", l, from, got, err, keys)
			}
		}
	})
}

func TestFindSaysHowFarItsRowsAre(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	page, err := queries.Find(t.Context(), b.reader, b.orders, queries.List{})
	if err != nil || page.At.Position != 40 || len(page.Items) != 40 || page.Next != "" {
		t.Errorf("Find = %d items at %d, next %q, %v, want 40 at 40", len(page.Items), page.At.Position, page.Next, err)
	}
	page, err = queries.Find(t.Context(), b.reader, b.orders, queries.List{Where: map[string]any{"id": "nope"}})
	if err != nil || page.Items == nil || len(page.Items) != 0 {
		t.Errorf("Find of nothing = %+v, %v, want no items, which are not nil", page, err)
	}
	token := b.append("order-new", placed{Total: 9})
	page, err = queries.Find(b.patiently(), b.reader, b.orders, queries.List{Where: map[string]any{"id": "new"}, Token: token})
	if err != nil || len(page.Items) != 1 || page.Items[0].Row.Total != 9 {
		t.Errorf("Find with a token = %+v, %v, want the new order", page, err)
	}
}

// TestPagesOfLargeRowsAreShort: what a page may have in memory does not grow with its rows.
func TestPagesOfLargeRowsAreShort(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	type text struct {
		ID   string
		Text string
	}
	type row struct{ Text string }
	texts := projections.NewFold[string, row](projections.Table{Name: "texts", Version: 1})
	projections.Upsert(texts, projections.ByID, func(r *row, e placed, _ projections.Recorded) error {
		r.Text = strings.Repeat("x", int(e.Total))
		return nil
	})
	b.start(texts)
	const rows, size = 6, eventstore.DefaultPageBytes * 2 / 5
	var token eventstore.Token
	for i := range rows {
		token = b.append(fmt.Sprintf("order-%d", i), placed{Total: size})
	}
	larger := b.append("order-larger", placed{Total: eventstore.DefaultPageBytes + 1})
	var found, listed []string
	list := queries.List{Token: larger}
	for page := 0; page == 0 || list.Cursor != ""; page++ {
		p, err := queries.Find(b.patiently(), b.reader, texts, list)
		if err != nil || len(p.Items) > 2 {
			t.Fatalf("a page has %d rows of %d bytes, %v; want two at most", len(p.Items), size, err)
		}
		for _, item := range p.Items {
			found = append(found, item.Key)
		}
		list.Cursor = p.Next
	}
	sqlList := queries.SQLList{SQL: `SELECT id, text FROM {texts}`, OrderBy: []string{"id"}, Token: token}
	for page := 0; page == 0 || sqlList.Cursor != ""; page++ {
		part, next, err := queries.SQLPage[text](b.patiently(), b.reader, sqlList)
		if err != nil || len(part) > 2 {
			t.Fatalf("a page of SQL has %d rows of %d bytes, %v; want two at most", len(part), size, err)
		}
		for _, row := range part {
			listed = append(listed, row.ID)
		}
		sqlList.Cursor = next
	}
	if want := []string{"0", "1", "2", "3", "4", "5", "larger"}; !slices.Equal(found, want) || !slices.Equal(listed, want) {
		t.Errorf("the pages lead to %q and %q, want %q", found, listed, want)
	}
}

func TestListsThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	for _, c := range []struct {
		list queries.List
		want string
	}{
		{queries.List{Limit: -1}, "must be from 1 to 500"},
		{queries.List{Limit: 501}, "must be from 1 to 500"},
		{queries.List{OrderBy: "nope"}, `there is no column "nope"`},
		{queries.List{Where: map[string]any{"nope": 1}}, `there is no column "nope"`},
		{queries.List{Where: map[string]any{`id" = '' OR "id`: ""}}, `there is no column`},
		{queries.List{OrderBy: "total"}, "add one on (total)"},
		{queries.List{Where: map[string]any{"total": 1}}, "there are (id), (placed_at, id), (customer_id, placed_at, id)"},
		{queries.List{Where: map[string]any{"tags": "t"}}, "is jsonb"},
		{queries.List{Where: map[string]any{"status": "placed"}}, "add one on (status)"},
		{queries.List{Where: map[string]any{"status": "placed"}, OrderBy: "placed_at"}, "add one on (status, placed_at)"},
		{queries.List{Where: map[string]any{"status": "placed"}, OrderBy: "customer_id"}, "can be NULL"},
		{queries.List{Where: map[string]any{"customer_id": 5}}, "a string is needed"},
		{queries.List{Where: map[string]any{"customer_id": "a\x00"}}, "has a NUL"},
		{queries.List{Where: map[string]any{"customer_id": "\xff"}}, "not valid UTF-8"},
		{queries.List{Where: map[string]any{"id": nil}}, "never NULL"},
		{queries.List{OrderBy: "placed_at", From: "2024-01-01"}, "a time.Time is needed"},
		{queries.List{From: "a"}, "OrderBy, which is not set"},
	} {
		_, err := queries.Find(t.Context(), b.reader, b.orders, c.list)
		if !errors.Is(err, queries.ErrInvalidQuery) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Find(%+v) = %v, want ErrInvalidQuery with %q", c.list, err, c.want)
		}
	}
}

func TestCursorsAreForOneList(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	mine := queries.List{Where: map[string]any{"customer_id": "ann"}, OrderBy: "placed_at", Limit: 2}
	page, err := queries.Find(t.Context(), b.reader, b.orders, mine)
	if err != nil || page.Next == "" {
		t.Fatalf("Find = %+v, %v, want a next page", page, err)
	}
	mine.Cursor = page.Next
	larger := mine
	larger.Limit = 3 // which may change
	if _, err := queries.Find(t.Context(), b.reader, b.orders, larger); err != nil {
		t.Errorf("with another limit Find = %v, want the next page", err)
	}
	others := map[string]func(l *queries.List){
		"other customer":  func(l *queries.List) { l.Where = map[string]any{"customer_id": "Bob"} },
		"all customers":   func(l *queries.List) { l.Where = nil },
		"other direction": func(l *queries.List) { l.Desc = true },
		"other order":     func(l *queries.List) { l.OrderBy = "" },
		"other limits":    func(l *queries.List) { l.From = day(1) },
	}
	for _, made := range []string{"x", "AAAA", "not base64!", mine.Cursor + "A", mine.Cursor[1:], mine.Cursor[:len(mine.Cursor)-2],
		base64.RawURLEncoding.EncodeToString([]byte(`12345678["a","b"]`)), strings.Repeat("A", 1<<16), "\x00"} {
		others[fmt.Sprintf("made up: %.20q", made)] = func(l *queries.List) { l.Cursor = made }
	}
	for name, change := range others {
		l := mine
		change(&l)
		if _, err := queries.Find(t.Context(), b.reader, b.orders, l); !errors.Is(err, queries.ErrInvalidCursor) {
			t.Errorf("%s: Find = %v, want ErrInvalidCursor", name, err)
		}
	}
}

// TestPagingStaysOnTheIndex looks at the plan of a page, for a table that is large enough to
// matter.
func TestPagingStaysOnTheIndex(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.start()
	b.fill()
	if _, err := b.db.Pool.Exec(t.Context(), `
		INSERT INTO recount.orders_g1 (id, recount_position, customer_id, status, placed_at, total, tags)
		SELECT 'x' || n, 1, 'c' || n % 100, 'placed', '2024-01-01'::timestamptz + n * interval '1 minute', n, '[]'
		FROM generate_series(1, 50000) n; ANALYZE recount.orders_g1`); err != nil {
		t.Fatal(err)
	}
	rows, err := b.db.Pool.Query(t.Context(), `EXPLAIN SELECT id FROM recount.orders_g1
		WHERE customer_id = 'c7' AND (placed_at, id) < ('2024-01-20', 'x1') ORDER BY placed_at DESC, id DESC LIMIT 11`)
	if err != nil {
		t.Fatal(err)
	}
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if !regexp.MustCompile(`Index (Only )?Scan Backward using orders_g1_i.*\n.*Index Cond: \(\(customer_id = .*ROW\(placed_at, id\) <`).MatchString(plan.String()) {
		t.Errorf("the plan is\n%swant a scan of the index by customer and time, with the whole condition", plan.String())
	}
}
