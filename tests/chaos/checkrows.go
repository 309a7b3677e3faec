package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/eventstore/logcheck/pglog"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/tests/chaos/work"
)

// The types of events that projections count.
var (
	orderTypes = []string{"OrderPlaced", "OrderConfirmed", "OrderShipped", "OrderCompleted", "OrderCancelled"}
	salesTypes = []string{"OrderPlaced", "OrderCancelled", "ReturnAccepted"}
	stockTypes = []string{"StockReceived", "StockAdjusted", "StockReserved", "StockReleased", "StockCommitted"}
)

// counted returns what each projection of the run counts.
func (c *Config) counted() map[pglog.Projection]eventstore.Filter {
	filters := make(map[pglog.Projection]eventstore.Filter)
	counts := func(name string, types ...string) {
		filters[pglog.Projection{Name: name, Version: 1}] = eventstore.Filter{Types: types}
	}
	if c.Projectors > 0 {
		counts(work.NotesName, work.NoteType)
	}
	if c.Servers > 0 {
		counts("orders", orderTypes...)
		counts("customer_history", append([]string{"ReturnAccepted"}, orderTypes...)...)
		counts("stock_levels", stockTypes...)
		counts("sales_by_country", salesTypes...)
		counts("sales_by_sku", salesTypes...)
	}
	return filters
}

// addNote folds a writer's event: what the projection of the projectors must
// come to, by other code than the product's.
func (l *storedLog) addNote(e *eventstore.RecordedEvent) {
	var n work.Noted
	if json.Unmarshal(e.Data, &n) != nil {
		return // no writer sent it: another rule says so
	}
	l.addDue(e, n.Amount)
	row := l.rows[e.Stream]
	if row == nil {
		row = &work.NoteRow{}
		l.rows[e.Stream] = row
	}
	row.Events++
	row.Amount += n.Amount
	row.Last = e.Version
	row.Chain = row.Chain*31 + n.Amount
}

// storedOrder is an order as the log has it.
type storedOrder struct {
	placed   int // how often
	total    int64
	quantity int
	status   string
}

var statuses = map[string]string{
	"OrderPlaced": "placed", "OrderConfirmed": "confirmed", "OrderShipped": "shipped",
	"OrderCompleted": "completed", "OrderCancelled": "cancelled",
}

func (l *storedLog) addOrder(e *eventstore.RecordedEvent) {
	status, ok := statuses[e.Type]
	if !ok {
		return
	}
	id := eventstore.StreamID(e.Stream)
	o := l.orders[id]
	if o == nil {
		o = &storedOrder{}
		l.orders[id] = o
	}
	o.status = status
	if e.Type != "OrderPlaced" {
		return
	}
	var placed struct {
		Lines []struct {
			Quantity int   `json:"quantity"`
			Price    int64 `json:"unit_price_minor"`
		} `json:"lines"`
	}
	if json.Unmarshal(e.Data, &placed) != nil {
		return // the shop could not read it either, and its projection stands still
	}
	o.placed++
	for _, line := range placed.Lines {
		o.total += int64(line.Quantity) * line.Price
		o.quantity += line.Quantity
	}
}

// checkCheckpoints checks the checkpoint of each projection whose events the
// harness knows.
func (r *run) checkCheckpoints(ctx context.Context, conn *pgx.Conn, l *storedLog) error {
	counted := r.config.counted()
	there, err := pglog.Checkpoints(ctx, conn, migrations.DefaultSchema, counted)
	if err != nil {
		return err
	}
	found := logcheck.Checkpoints(l.Log, there...)
	for p := range counted {
		if !slices.ContainsFunc(there, func(c logcheck.Checkpoint) bool { return c.Projection == p.Name }) {
			found = append(found, logcheck.Violation{Rule: logcheck.RuleCheckpoint, Text: "there is no projection " + p.Name})
		}
	}
	r.check("checkpoints and digests", len(there), found)
	return nil
}

// checkProjections checks rows and checkpoints. All projections are at the head
// by now, or another check has said so.
func (r *run) checkProjections(ctx context.Context, conn *pgx.Conn, l *storedLog) error {
	if err := r.checkCheckpoints(ctx, conn, l); err != nil {
		return err
	}
	if r.config.Projectors > 0 {
		want := make(map[string][]byte, len(l.rows))
		for stream, row := range l.rows {
			want[stream] = fmt.Appendf(nil, "%d %d %d %d", row.Events, row.Amount, row.Last, row.Chain)
		}
		got, err := rowsOf(ctx, conn, `SELECT id, concat_ws(' ', events, amount, last, chain) FROM recount.`+work.NotesName)
		if err != nil {
			return err
		}
		r.check("rows of "+work.NotesName, len(want), logcheck.Rows(work.NotesName, want, got))
	}
	if r.config.Servers == 0 {
		return nil
	}
	want := make(map[string][]byte, len(l.orders))
	for id, o := range l.orders {
		want[id] = fmt.Appendf(nil, "%d %s", o.total, o.status)
	}
	got, err := rowsOf(ctx, conn, `SELECT id, concat_ws(' ', total_minor, status) FROM recount.orders`)
	if err != nil {
		return err
	}
	r.check("rows of orders", len(want), logcheck.Rows("orders", want, got))
	return nil
}

// rowsOf returns a table as text, by key.
func rowsOf(ctx context.Context, conn *pgx.Conn, sql string) (map[string][]byte, error) {
	rows, err := conn.Query(ctx, sql)
	if err != nil {
		return nil, err
	}
	all := make(map[string][]byte)
	var key string
	var text []byte
	_, err = pgx.ForEachRow(rows, []any{&key, &text}, func() error {
		all[key] = append([]byte(nil), text...)
		return nil
	})
	return all, err
}
