package adminapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type counted struct{}

type count struct{ N int64 }

// A service with read models of its own has the routes.
func TestAnyServiceHasTheRoutes(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	store := memstore.New(memstore.Config{})
	codec, err := eventstore.NewCodec(eventstore.TypeOf[counted]("Counted", 1))
	if err != nil {
		t.Fatal(err)
	}
	counts := projections.NewFold[string, count](projections.Table{Name: "counts", Version: 1})
	projections.Upsert(counts, projections.ByID, func(c *count, _ counted, _ projections.Recorded) error { c.N++; return nil })
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec}, counts)
	if err != nil {
		t.Fatal(err)
	}
	if err := runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer runner.Stop(t.Context())

	a, err := httpapi.New(httpapi.Config{Problems: adminapi.Problems("program")})
	if err != nil {
		t.Fatal(err)
	}
	adminapi.Register(a, projections.NewAdmin(db.Pool, db.Schema, store, counts))
	h, err := a.Handler()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/v1/projections", "", 200, `"projection":"counts"`},
		{"GET", "/v1/projections/counts", "", 200, `"name":"counts"`},
		{"POST", "/v1/projections/counts/pause", "", 200, `"paused":true`},
		{"POST", "/v1/projections/counts/resume", "", 200, `"paused":false`},
		{"POST", "/v1/projections/counts/rebuild", `{"workers":-1}`, 400, `"pointer":"/workers"`},
		{"POST", "/v1/projections/counts/rebuild", "", 202, `"kind":"rebuild"`},
		{"POST", "/v1/projections/other/rebuild", "", 404, "projection-not-found"},
		{"POST", "/v1/projections/counts/skip", `{"reason":"a test"}`, 400, `"pointer":"/position"`},
		{"POST", "/v1/projections/counts/skip", `{"position":1}`, 400, `"pointer":"/reason"`},
		{"POST", "/v1/patterns/test", `{"pattern":{"type":["Counted"]},"event":{"type":"Counted"}}`, 200, `{"matched":true}`},
		{"POST", "/v1/patterns/test", `{"pattern":{"data":{"n":[{"numeric":[">",1]}]}},"event":{"data":{"n":1}}}`, 200,
			`{"matched":false,"clause":{"pointer":"/data/n","wanted":[{"numeric":[">",1]}],"found":"1"}}`},
		{"POST", "/v1/patterns/test", `{"pattern":{"data":{"n":1}},"event":{"n":1}}`, 400,
			`"errors":[{"pointer":"/pattern/data/n","detail":"it must be an array of alternatives: write [1]"},{"pointer":"/event/n",`},
		{"POST", "/v1/patterns/test", `{"pattern":{"type":["Counted"]}}`, 400, `"pointer":"/event","detail":"it is missing"`},
		{"POST", "/v1/patterns/test", "", 400, "invalid-pattern"},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		if c.body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s = %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
	}
}
