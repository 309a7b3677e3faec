package shop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/shop"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// server is the whole shop behind HTTP, on a database of its own.
type server struct {
	testing.TB
	*httptest.Server
	db    *pgtest.DB
	store app.Log
}

// must makes a test of an error that cannot be handled.
func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func start(t testing.TB) *server {
	t.Helper()
	return startOn(t, logtest.New(t))
}

func startOn(t testing.TB, db *pgtest.DB) *server {
	t.Helper()
	return startBehind(t, db, func(api http.Handler) http.Handler { return api })
}

// startBehind is startOn with something between the clients and the API.
func startBehind(t testing.TB, db *pgtest.DB, wrap func(http.Handler) http.Handler) *server {
	t.Helper()
	service := must[*app.Service](t)(app.Open(t.Context(), shop.App(), app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8}))
	atEnd(t, service.Close)
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &server{t, httptest.NewServer(wrap(service.API)), db, service.Log}
	t.Cleanup(s.Close)
	return s
}

func atEnd(t testing.TB, stop func(context.Context) error) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := stop(ctx); err != nil {
			t.Error(err)
		}
	})
}

// answer is what came back for one request.
type answer struct {
	request string
	status  int
	header  http.Header
	body    string
}

// do sends a request; headers are "Name: value". A body is sent as JSON.
func (s *server) do(method, path, body string, headers ...string) answer {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.URL+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	resp, err := s.Client().Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer{fmt.Sprintf("%s %.200s", method, path), resp.StatusCode, resp.Header, string(text)}
}

// post sends a command that has to be accepted, and returns the header that
// makes a read see it.
func (s *server) post(path, body string, headers ...string) (after string) {
	s.Helper()
	a := s.do("POST", path, body, headers...)
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		s.Fatalf("%s = %d %s", a.request, a.status, a.body)
	}
	return "Consistency-Token: " + a.header.Get("Consistency-Token")
}

// get reads JSON into v, as soon as the read model has seen what after is of.
func (s *server) get(path string, v any, after string) {
	s.Helper()
	a := s.do("GET", path, "", after, "Prefer: wait=9")
	if a.status != http.StatusOK {
		s.Fatalf("%s = %d %s", a.request, a.status, a.body)
	}
	if err := json.Unmarshal([]byte(a.body), v); err != nil {
		s.Fatalf("%s: %v in %s", a.request, err, a.body)
	}
}

// problem is what a client can rely on in a problem.
type problem struct {
	Type, Title, Code, Detail, Hint string
	Status                          int
	Expected, Actual                *int64
	Errors                          []struct{ Pointer, Parameter, Header, Detail string }
}

// problem checks that the answer is a well-formed problem, and no fault of the
// server.
func (a answer) problem(t testing.TB) problem {
	t.Helper()
	var p problem
	if a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("%s = %d %q %.300s, want a problem", a.request, a.status, a.header.Get("Content-Type"), a.body)
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatalf("%s = %q: %v", a.request, a.body, err)
	}
	if p.Status != a.status || p.Type != "/problems/"+p.Code || p.Title == "" || p.Detail == "" || p.Hint == "" {
		t.Errorf("%s = %d %s lacks something", a.request, a.status, a.body)
	}
	if a.status < 400 || a.status >= 500 && a.status != http.StatusServiceUnavailable {
		t.Errorf("%s = %d %s, want 4xx or 503", a.request, a.status, a.body)
	}
	return p
}

// wantProblem is problem for a known one.
func (a answer) wantProblem(t testing.TB, status int, code string) problem {
	t.Helper()
	p := a.problem(t)
	if a.status != status || p.Code != code {
		t.Errorf("%s = %d %s (%s), want %d %s", a.request, a.status, p.Code, p.Detail, status, code)
	}
	return p
}

// lineJSON is a line of an order as JSON.
func lineJSON(sku string, quantity, price int64) string {
	return fmt.Sprintf(`{"sku":%q,"description":"%s","quantity":%d,"unit_price_minor":%d}`, sku, sku, quantity, price)
}

// orderJSON is an order or a return as JSON; no customer is a guest.
func orderJSON(id, customer, country, currency, at string, lines ...string) string {
	if customer = fmt.Sprintf("%q", customer); customer == `""` {
		customer = "null"
	}
	return fmt.Sprintf(`{"id":%q,"customer_id":%s,"country":%q,"currency":%q,"at":%q,"lines":[%s]}`,
		id, customer, country, currency, at, strings.Join(lines, ","))
}
