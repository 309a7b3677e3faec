package shop_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/shop"
)

// requests is one of each kind.
var requests = []struct{ method, path, body string }{
	{"POST", "/v1/orders", small("1")},
	{"POST", "/v1/orders/0/confirm", ""},
	{"GET", "/v1/orders/0", ""},
	{"GET", "/v1/orders", ""},
	{"GET", "/v1/stock/MUG", ""},
	{"GET", "/v1/customers/c-1", ""},
	{"GET", "/v1/sales?by=sku", ""},
	{"GET", "/v1/projections", ""},
	{"GET", "/v1/projections/orders", ""},
	{"POST", "/v1/projections/orders/resume", ""},
	{"POST", "/v1/projections/orders/skip", `{"position":1,"reason":"a test"}`},
}

func TestADatabaseBehindOnMigrations(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("0"))
	s.get("/v1/orders/0", new(any), s.head())
	s.sql(s.db.DSN, "ALTER SCHEMA recount RENAME TO hidden")
	for _, r := range requests {
		s.do(r.method, r.path, r.body).wantProblem(t, http.StatusServiceUnavailable, "database-behind")
	}
	s.sql(s.db.DSN, "ALTER SCHEMA hidden RENAME TO recount")
	s.comesBack()
}

func TestADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/orders", small("0"))
	var name string
	if err := s.db.Pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&name); err != nil {
		t.Fatal(err)
	}
	config := s.db.Pool.Config().ConnConfig.Copy()
	config.Database = "postgres"
	postgres := must[*pgx.Conn](t)(pgx.ConnectConfig(t.Context(), config))
	defer postgres.Close(context.WithoutCancel(t.Context()))
	exec := func(sql string, args ...any) {
		t.Helper()
		if _, err := postgres.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	exec("ALTER DATABASE " + pgsql.Name(name) + " ALLOW_CONNECTIONS false")
	exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
	for _, r := range requests {
		p := s.do(r.method, r.path, r.body).problem(t)
		if p.Status != http.StatusServiceUnavailable {
			t.Errorf("%s %s = %d %s, want 503", r.method, r.path, p.Status, p.Code)
		}
	}
	exec("ALTER DATABASE " + pgsql.Name(name) + " ALLOW_CONNECTIONS true")
	s.comesBack()
}

// sql runs a statement on a connection of its own.
func (s *server) sql(dsn, statement string) {
	s.Helper()
	conn := must[*pgx.Conn](s)(pgx.Connect(s.Context(), dsn))
	defer conn.Close(context.WithoutCancel(s.Context()))
	if _, err := conn.Exec(s.Context(), statement); err != nil {
		s.Fatal(err)
	}
}

// comesBack checks that the server works as if nothing had been.
func (s *server) comesBack() {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for s.do("POST", "/v1/orders/0/confirm", "").status != http.StatusOK {
		if time.Now().After(deadline) {
			s.Fatal("the server does not come back")
		}
	}
	var o struct{ Status string }
	s.get("/v1/orders/0", &o, s.head())
	if o.Status != "confirmed" {
		s.Errorf("status = %q, want confirmed", o.Status)
	}
}

func TestOrdersCompeteForStock(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.post("/v1/stock/MUG/receive", `{"quantity":20}`)
	var wg sync.WaitGroup
	answers := make([]answer, 30)
	for i := range answers {
		wg.Go(func() {
			answers[i] = s.do("POST", "/v1/stock/MUG/reserve", fmt.Sprintf(`{"order_id":"%d","quantity":1}`, i))
		})
	}
	wg.Wait()
	accepted := 0
	for _, a := range answers {
		if a.status == http.StatusOK {
			accepted++
		} else {
			a.wantProblem(t, 409, "stock-insufficient")
		}
	}
	var stock struct {
		OnHand    int `json:"on_hand"`
		Reserved  int
		Available int
	}
	s.get("/v1/stock/MUG", &stock, s.head())
	if accepted != 20 || stock.OnHand != 20 || stock.Reserved != 20 || stock.Available != 0 {
		t.Errorf("%d were accepted, stock is %+v; want 20 and all of it reserved", accepted, stock)
	}
}

// The domain refuses orders of such a size. If they are in the log all the same,
// no sum may be wrong silently.
func TestSumsTooLargeToBeTold(t *testing.T) {
	t.Parallel()
	s := startOn(t, logtest.New(t))
	customer := "c-1"
	enormous := func(id string, day int) {
		codec, err := shop.App().Codec()
		if err != nil {
			t.Fatal(err)
		}
		event, err := codec.Encode(order.Placed{
			ID: id, CustomerID: &customer, Country: "EIRE", Currency: "EUR",
			Lines:      []goods.Line{{SKU: "DIAMOND", Quantity: 1, UnitPriceMinor: money.Max}},
			TotalMinor: money.Max, At: time.Date(2026, 3, day, 0, 0, 0, 0, time.UTC),
		})
		if err != nil {
			t.Fatal(err)
		}
		a := eventstore.StreamAppend{Stream: "order-" + id, Expected: eventstore.Any, Events: []eventstore.Event{event}}
		if _, err := s.store.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	enormous("1", 1)
	enormous("2", 2)
	head := s.head()
	var days struct {
		Items []struct {
			Gross int64 `json:"gross_minor"`
		}
	}
	s.get("/v1/sales?by=day", &days, head)
	if len(days.Items) != 2 || days.Items[0].Gross != money.Max {
		t.Errorf("sales by day = %+v", days.Items)
	}
	for _, path := range []string{"/v1/sales?by=country", "/v1/sales?by=sku&sort=-gross_minor", "/v1/customers/c-1"} {
		s.do("GET", path, "", head, "Prefer: wait=9").wantProblem(t, 422, "total-too-large")
	}
	s.get("/v1/sales?by=country&to=2026-03-01", new(any), head)

	enormous("3", 2)
	p := s.do("GET", "/v1/sales", "", s.head(), "Prefer: wait=9").wantProblem(t, 503, "projection-stopped")
	if !strings.Contains(p.Detail, "sales_by_country") {
		t.Errorf("detail %q does not name the projection", p.Detail)
	}
	var o struct{ ID string }
	s.get("/v1/orders/3", &o, s.head())
	if a := s.do("GET", "/v1/projections", ""); !strings.Contains(a.body, "outside ±9007199254740991") {
		t.Errorf("%s does not say why: %s", a.request, a.body)
	}
}
