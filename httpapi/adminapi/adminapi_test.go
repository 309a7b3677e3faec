package adminapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/adminapi"
	"github.com/57528e99/recount/httpapi/openapi"
	"github.com/57528e99/recount/internal/openapitest"
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
	adminapi.Register(a, "program", projections.NewAdmin(db.Pool, db.Schema, store, counts), delivery.NewAdmin(db.Pool, db.Schema, store, "program"), nil)
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
		{"POST", "/v1/patterns/test", `{"pattern":{"type":["Counted"]}}`, 400, `"pointer":"/event","detail":"must be given"`},
		{"POST", "/v1/patterns/test", "", 400, `"pointer":"/pattern","detail":"must be given"`},
	} {
		w := ask(h, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s = %d %s, want %d %s", c.method, c.path, w.Code, w.Body, c.status, c.want)
		}
	}
}

// TestWhatTheDocumentDemandsMustBeSent, by each route.
func TestWhatTheDocumentDemandsMustBeSent(t *testing.T) {
	t.Parallel()
	a, err := httpapi.New(httpapi.Config{Problems: adminapi.Problems("program")})
	if err != nil {
		t.Fatal(err)
	}
	adminapi.Register(a, "program", nil, nil, nil)
	adminapi.RegisterWebhooks(a, "program", nil, adminapi.WebhookConfig{})
	codec, err := eventstore.NewCodec(eventstore.TypeOf[counted]("Counted", 1))
	if err != nil {
		t.Fatal(err)
	}
	n := openapitest.Required(t, openapi.Document(openapi.Info{Title: "t", Version: "1"}, a, codec), func(method, target, body string) (int, string) {
		w := ask(a, method, target, body)
		return w.Code, w.Body.String()
	})
	if n < 10 {
		t.Errorf("the document demands %d members", n)
	}
}

// ask sends a request, with headers as "Name: value".
func ask(h http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestSubscriptionsAreMadeAndSteered over HTTP, while no process delivers.
func TestSubscriptionsAreMadeAndSteered(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	store := memstore.New(memstore.Config{})
	appended, err := store.Append(t.Context(), eventstore.StreamAppend{Stream: "thing-1", Expected: eventstore.NoStream,
		Events: []eventstore.Event{{Type: "Counted", Data: []byte(`{"n":1}`)}, {Type: "Counted", Data: []byte(`{"n":2}`)}}}, eventstore.AppendOptions{})
	if err != nil || appended.Position != 2 {
		t.Fatal(appended, err)
	}
	a, err := httpapi.New(httpapi.Config{Problems: adminapi.Problems("program")})
	if err != nil {
		t.Fatal(err)
	}
	adminapi.Register(a, "program", projections.NewAdmin(db.Pool, db.Schema, store), delivery.NewAdmin(db.Pool, db.Schema, store, "program"), nil)
	h, err := a.Handler()
	if err != nil {
		t.Fatal(err)
	}
	const (
		path     = "/v1/subscriptions/mails"
		mails    = `{"start":"beginning","filter":{"type":["Counted"]},"target":{"http":{"url":"https://example.com/"}}}`
		filtered = `{"name":"mails","start":"beginning","filter":{"data":{"n":[2]}},"target":{"http":{"url":"https://example.com/"}}}`
	)
	for _, c := range []struct {
		request, body, header string
		status                int
		want                  string
	}{
		{"GET /v1/subscriptions", "", "", 200, `"items":[]`},
		{"GET " + path, "", "", 404, "subscription-not-found"},
		{"PUT " + path, `{"target":{"http":{}},"partitions":3}`, "", 400,
			`"errors":[{"pointer":"/partitions","detail":"must be a power of two, it is 3"},{"pointer":"/target/http/url","detail":"must be there: where to send requests, such as https://example.com/events"}]`},
		{"PUT " + path, `{"source":{"rows":{}}}`, "", 400, `"errors":[{"pointer":"/source/rows","detail":"is not known`},
		{"PUT " + path, `{"start":"now"}`, "", 400, `"pointer":"/start"`},
		{"PUT " + path, `{"retry":{"first":"soon"}}`, "", 400, `"pointer":"/retry/first"`},
		{"PUT " + path, `{"targets":{}}`, "", 400, `"pointer":"/targets","detail":"is not known here; known are name, `},
		{"PUT " + path, `{"name":"other"}`, "", 400, `"pointer":"/name","detail":"must be that in the path, or be left out"`},
		{"PUT /v1/subscriptions/Mails", mails, "", 400, `"pointer":"/name"`},
		{"PUT " + path, mails, `If-Match: "1"`, 412, "subscription-changed"},
		{"PUT " + path, mails, `If-Match: *`, 412, "subscription-changed"},
		{"PUT " + path, mails, `If-Match: "x"`, 400, "invalid-header"},
		{"PUT " + path + "?dry_run=1", mails, "", 200, `"done":"created","revision":0,"dry_run":true`},
		{"GET " + path, "", "", 404, "subscription-not-found"},
		{"PUT " + path, mails, `If-None-Match: *`, 201, `"done":"created","revision":1,`},
		{"PUT " + path, mails, `If-None-Match: *`, 412, "subscription-changed"},
		{"PUT " + path, mails, `If-Match: "1"`, 200, `"done":"unchanged","revision":1`},
		{"PUT " + path, `{"target":{"http":{"url":"https://example.com/"}}}`, "", 400, `"pointer":"/filter","detail":"is left out`},
		{"PUT " + path + "?dry_run=1", filtered, "", 200, `"done":"changed","revision":1,"dry_run":true`},
		{"PUT " + path, filtered, `If-Match: "0"`, 412, "subscription-changed"},
		{"PUT " + path, filtered, `If-Match: "1"`, 200, `"pointer":"/filter","was":{"type":["Counted"]},"is":{"data":{"n":[2]}}`},
		{"PUT " + path, mails, `If-Match: "1"`, 412, "subscription-changed"},
		{"GET " + path, "", "", 200, `"revision":2,"state":"no owner"`},
		{"GET /v1/subscriptions", "", "", 200, `"name":"mails"`},
		{"POST " + path + "/pause", "", "", 200, `{"name":"mails","paused":true}`},
		{"POST /v1/subscriptions/other/pause", "", "", 404, "subscription-not-found"},
		{"GET " + path, "", "", 200, `"state":"paused"`},
		{"POST " + path + "/resume", "", "", 200, `"paused":false`},
		{"POST /v1/subscriptions", `{"prune":true}`, "", 400, `"pointer":"/subscriptions"`},
		{"POST /v1/subscriptions", `{"prune":true,"subscriptions":null}`, "", 400, `"pointer":"/subscriptions"`},
		{"POST /v1/subscriptions", `{"subscriptions":[` + filtered + `,` + filtered + `]}`, "", 400, `"pointer":"/subscriptions/1/name"`},
		{"POST " + path + "/skip", `{"position":1,"reason":"a test"}`, "", 409, "subscription-not-stopped"},
		{"POST " + path + "/skip", `{"reason":"a test"}`, "", 400, `"pointer":"/position"`},
		{"POST " + path + "/retry", `{"position":1}`, "", 409, "event-not-waiting"},
		{"POST " + path + "/reset", `{"to":"end","dry_run":true}`, "", 200, `"dry_run":true,"position":2,`},
		{"POST " + path + "/reset", `{"to":{"position":9},"reason":"a test"}`, "", 400, `"pointer":"/to/position","detail":"must be at most 3: the log ends at 2"`},
		{"POST " + path + "/reset", `{"to":"end"}`, "", 400, `"pointer":"/reason"`},
		{"GET " + path + "/explain?position=1", "", "", 200, `"state":"not-matched"`},
		{"GET " + path + "/explain?position=2", "", "", 200, `"why":"no-member"`},
		{"GET " + path + "/explain?position=3", "", "", 200, `"state":"not-in-log"`},
		{"GET " + path + "/explain", "", "", 400, `"parameter":"position","detail":"must be given`},
		{"GET " + path + "/explain?position=1&event=" + uuid.NewString(), "", "", 400, `"parameter":"event"`},
		{"GET " + path + "/explain?event=" + uuid.NewString(), "", "", 200, `"state":"not-in-log"`},
		{"GET /v1/routes/explain/2", "", "", 200, `"subscriptions":1,"matching":1,"items":[{"subscription":"`},
		{"GET /v1/routes/explain/1?after=-a", "", "", 200, `"state":"not-matched"`},
		{"GET /v1/routes/explain/1?after=a", "", "", 400, `"pointer":"/after"`},
		{"GET /v1/routes/explain/3", "", "", 404, `event-not-found`},
		{"GET /v1/routes/explain/" + uuid.NewString(), "", "", 404, `event-not-found`},
		{"GET /v1/routes/explain/none", "", "", 404, `event-not-found`},
		{"POST /v1/routes/explain", `{"event":{"type":"Counted","data":{"n":2}}}`, "", 200, `"state":"matched"`},
		{"POST /v1/routes/explain", `{"event":{"kind":"Counted"},"limit":1001}`, "", 400, `"pointer":"/event/kind"`},
		{"POST /v1/routes/explain", `{"event":{},"limit":1001}`, "", 400, `"pointer":"/limit"`},
		{"POST " + path + "/reset", `{"to":"end","reason":"a test"}`, "", 200, `"position":2`},
		{"GET " + path + "/audit?limit=1", "", "", 200, `"actor":"api","action":"reset","detail":"to position 2: a test`},
		{"GET " + path + "/dead", "", "", 200, `"items":[]`},
		{"GET " + path + "/dead?limit=1001", "", "", 400, "invalid-parameter"},
		{"GET " + path + "/dead?after=-", "", "", 400, `"pointer":"/after"`},
		{"GET " + path + "/dead-groups", "", "", 200, `"items":[]`},
		{"GET " + path + "/dead/1", "", "", 404, "dead-letter-not-found"},
		{"GET " + path + "/dead/first", "", "", 404, "dead-letter-not-found"},
		{"POST " + path + "/dead/redrive", `{}`, "", 400, `"pointer":"/filter"`},
		{"POST " + path + "/dead/redrive", `{"all":true,"dry_run":true}`, "", 200, `"count":0`},
		{"POST " + path + "/dead/discard", `{"positions":[1]}`, "", 400, `"pointer":"/reason"`},
		{"POST " + path + "/dead/resubmit", `{"position":1,"reason":"a test"}`, "", 501, ""},
		{"POST /v1/subscriptions?dry_run=1", `{"subscriptions":[],"prune":true}`, "", 200, `"subscription":"mails","done":"deleted"`},
		{"POST /v1/subscriptions", `{"subscriptions":[` + filtered + `]}`, "", 200, `"done":"unchanged"`},
		{"DELETE " + path, "", `If-Match: "1"`, 412, "subscription-changed"},
		{"DELETE " + path + "?discard_dead=true", "", "", 200, `"done":"deleted"`},
		{"DELETE " + path, "", "", 404, "subscription-not-found"},
	} {
		method, at, _ := strings.Cut(c.request, " ")
		w := ask(h, method, at, c.body, c.header)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s %s with %s = %d %s, want %d %s", c.request, c.body, c.header, w.Code, w.Body, c.status, c.want)
		}
		if there := !strings.Contains(w.Body.String(), `"revision":0`); method == "PUT" && w.Code < 300 && (w.Header().Get("ETag") != "") != there {
			t.Errorf("%s has the ETag %s", c.request, w.Header().Get("ETag"))
		}
	}
}
