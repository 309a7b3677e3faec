package logapi_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/logapi"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// server is the routes on a log.
type server struct {
	*testing.T
	handler http.Handler
}

func serve(t *testing.T, log logapi.Log) *server {
	t.Helper()
	a, err := httpapi.New(httpapi.Config{Problems: logapi.Problems()})
	if err != nil {
		t.Fatal(err)
	}
	logapi.Register(a, logapi.Config{Log: log, Owned: []string{"order"}, Heartbeat: 20 * time.Millisecond})
	h, err := a.Handler()
	if err != nil {
		t.Fatal(err)
	}
	return &server{t, h}
}

// everywhere runs a test on both stores.
func everywhere(t *testing.T, test func(*server)) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		test(serve(t, memstore.New(memstore.Config{})))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		db := logtest.New(t)
		store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool, Schema: db.Schema})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close(context.Background()) })
		test(serve(t, store))
	})
}

// ask sends a request: a method, a path and, if there is one, a body, with headers as "Name: value".
func (s *server) ask(request string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	method, rest, _ := strings.Cut(request, " ")
	path, body, _ := strings.Cut(rest, " ")
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// want sends a request, and returns the answer, which must have a status and a text in it.
func (s *server) want(status int, text, request string, headers ...string) *httptest.ResponseRecorder {
	s.Helper()
	w := s.ask(request, headers...)
	if w.Code != status || !strings.Contains(w.Body.String(), text) {
		s.Errorf("%s %v = %d %s, want %d with %s", request, headers, w.Code, w.Body, status, text)
	}
	return w
}

func TestAppendAndRead(t *testing.T) {
	t.Parallel()
	everywhere(t, func(s *server) {
		const id = "0b9f2b6e-8d5d-4c8e-9d53-2f4b4b0a9f01"
		// White space, the order of members, how text and numbers are written: all comes back.
		const data = `{ "b" : 1.50,"a":"\u00e6 <&>",  "list":[ ] }`
		w := s.want(200, `{"stream":"meter-1","version":0,"position":1}`,
			`POST /v1/streams/meter-1 {"id":"`+id+`","type":"Read","schema_version":2,"data":`+data+`,"metadata":{"by": "ann"},"expected":"no_stream"}`)
		token := w.Header().Get("Consistency-Token")
		if w.Header().Get("ETag") != `"0"` || token == "" {
			s.Errorf("headers %v, want ETag and Consistency-Token", w.Header())
		}
		// Again: the same event, once, wherever its stream is by now.
		s.want(200, `{"stream":"meter-1","version":2,"position":3}`, `POST /v1/streams/meter-1 {"events":[{"type":"A"},{"type":"B","data":null}],"expected":0}`, "X-Correlation-Id: c1")
		s.want(200, `{"stream":"meter-1","version":0,"position":1,"deduplicated":true}`,
			`POST /v1/streams/meter-1 {"id":"`+id+`","type":"Read","schema_version":2,"data":`+data+`,"expected":"no_stream"}`)
		s.want(409, `"event-id-reused"`, `POST /v1/streams/meter-1 {"id":"`+id+`","type":"Read","schema_version":2,"data":{}}`)

		event := `"version":0,"id":"` + id + `","type":"Read","schema_version":2,"content_type":"application/json","recorded_at":"`
		s.want(200, event, "GET /v1/events/"+id)
		s.want(200, `,"data":`+data+`,"metadata":{"by": "ann"}}`, "GET /v1/events/1")
		s.want(404, `"no-such-event"`, "GET /v1/events/4")
		s.want(404, `"no-such-event"`, "GET /v1/events/0b9f2b6e-8d5d-4c8e-9d53-2f4b4b0a9f02")
		s.want(200, `,"data":`+data, "GET /v1/streams/meter-1", "Consistency-Token: "+token)
		s.want(200, `"data":null,"metadata":{"correlation_id":"c1","causation_id":"`, "GET /v1/streams/meter-1?from=2")

		// Bytes that are no JSON.
		s.want(200, `"type":"Photo","schema_version":1,"data":null,"data_base64":"AAEC"}`,
			`POST /v1/streams/meter-1?dry_run=1 {"type":"Photo","content_type":"image/png","data_base64":"AAEC"}`)
		s.want(200, `"version":3`, `POST /v1/streams/meter-1 {"type":"Photo","content_type":"image/png","data_base64":"iVBORw==","metadata_base64":"AAE="}`, `If-Match: "2"`)
		s.want(200, `"content_type":"image/png","recorded_at":"`, "GET /v1/streams/meter-1?direction=backwards&limit=1")
		s.want(200, `"data_base64":"iVBORw==","metadata_base64":"AAE="}],"next":2}`, "GET /v1/streams/meter-1?direction=backwards&limit=1")
		s.want(200, `"items":[]`, "GET /v1/streams/meter-1?from=4")
		s.want(404, `"stream-not-found"`, "GET /v1/streams/meter-2")

		// Several streams.
		s.want(200, `"streams":[{"stream":"meter-2","version":0,"position":5},{"stream":"meter-1","version":4,"position":6}]`,
			`POST /v1/append {"appends":[{"stream":"meter-2","expected":"no_stream","events":[{"type":"A"}]},{"stream":"meter-1","expected":3,"events":[{"type":"C"}]}]}`)
		p := s.want(412, `"precondition-failed"`,
			`POST /v1/append {"appends":[{"stream":"meter-3","events":[{"type":"A"}]},{"stream":"meter-1","expected":3,"events":[]}]}`)
		if !strings.Contains(p.Body.String(), `"expected":3,"actual":4`) {
			s.Errorf("the problem is %s, want the versions", p.Body)
		}
		s.want(404, `"stream-not-found"`, "GET /v1/streams/meter-3")
		// What cannot be in an answer as it is, or is not said to be JSON: space around it, a member twice, too deep, text.
		for kind, data := range map[string]string{
			"application/json": " {}\n", "application/x+json": `{"a":1,"a":2}`, "application/json; a=b": strings.Repeat("[", 9999) + strings.Repeat("]", 9999), "text/plain": "123",
		} {
			bytes := base64.StdEncoding.EncodeToString([]byte(data))
			stream := fmt.Sprintf("odd-%d", len(data))
			s.want(200, "", `POST /v1/streams/`+stream+` {"type":"A","content_type":"`+kind+`","data_base64":"`+bytes+`"}`)
			s.want(200, `,"data_base64":"`+bytes+`"`, "GET /v1/streams/"+stream)
		}
	})
}

func TestAppendsAreIdempotent(t *testing.T) {
	t.Parallel()
	everywhere(t, func(s *server) {
		const request = `POST /v1/streams/a-1 {"type":"A","data":{"n":1}}`
		first := s.want(200, `"position":1}`, request, "Idempotency-Key: k")
		again := s.want(200, `"position":1}`, request, "Idempotency-Key: k")
		if again.Body.String() != first.Body.String() || again.Header().Get("Idempotency-Replayed") != "true" {
			s.Errorf("the second answer is %s with %v, want the first", again.Body, again.Header())
		}
		s.want(422, `"idempotency-key-reused"`, `POST /v1/streams/a-1 {"type":"A","data":{"n":2}}`, "Idempotency-Key: k")
		s.want(200, `"position":2}`, `POST /v1/streams/a-2 {"type":"A","data":{"n":2}}`, "Idempotency-Key: k") // another stream's

		s.want(200, `"position":3}`, `POST /v1/streams/a-1 {"type":"A","dedup_key":"d"}`)
		s.want(200, `"version":1,"position":3,"deduplicated":true}`, `POST /v1/streams/a-1 {"type":"A","dedup_key":"d","expected":"no_stream"}`)
		s.want(200, `"position":4}`, `POST /v1/streams/a-2 {"type":"A","dedup_key":"d"}`)
		s.want(400, `"/dedup_key"`, `POST /v1/streams/a-1 {"type":"A","dedup_key":"e"}`, "Idempotency-Key: e")

		const several = `POST /v1/append {"appends":[{"stream":"a-1","events":[{"type":"B"}]},{"stream":"a-3","events":[{"type":"B"}]}]}`
		s.want(200, `"position":6}]`, several, "Idempotency-Key: s")
		s.want(200, `"position":6}]`, several, "Idempotency-Key: s")

		s.want(200, `"type":"C"`, `POST /v1/streams/a-1?dry_run=1 {"type":"C","expected":2}`)
		s.want(412, `"actual":2`, `POST /v1/streams/a-1?dry_run=1 {"type":"C","expected":1}`)
		s.want(412, `"actual":2`, `POST /v1/streams/a-1?dry_run=1 {"type":"C"}`, "If-None-Match: *")
		s.want(200, `"through":6,"head":6}`, "GET /v1/log")
	})
}

func TestTheLogByPages(t *testing.T) {
	t.Parallel()
	everywhere(t, func(s *server) {
		for i := range 10 {
			s.want(200, "", fmt.Sprintf(`POST /v1/streams/%s-1 {"events":[{"type":"A","data":{"n":%d}},{"type":"B"}]}`, []string{"a", "b"}[i%2], i))
		}
		read := func(query string) (positions []int64, next *string, through int64) {
			s.Helper()
			w := s.want(200, `"head":20}`, "GET /v1/log?"+query)
			var page struct {
				Items   []struct{ Position int64 }
				Next    *string
				Through int64
			}
			if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil {
				s.Fatal(err)
			}
			for _, e := range page.Items {
				positions = append(positions, e.Position)
			}
			return positions, page.Next, page.Through
		}
		for query, want := range map[string]string{
			"types=A&categories=b": "[3 7 11 15 19]",
			"types=A,B&after=17":   "[18 19 20]",
			"filter=%7B%22data%22:%7B%22n%22:%5B%7B%22numeric%22:%5B%22%3E%22,7%5D%7D%5D%7D%7D":                    "[17 19]",
			"types=B&filter=%7B%22type%22:%5B%22A%22%5D%7D":                                                        "[]",
			"categories=a&filter=%7B%22category%22:%5B%22a%22%5D,%22type%22:%5B%22B%22%5D%7D&limit=1000&scan=1000": "[2 6 10 14 18]",
			"after=20": "[]",
		} {
			if positions, next, through := read(query); fmt.Sprint(positions) != want || next != nil || through != 20 {
				s.Errorf("%s: %v, next %v, through %d, want %s to the end", query, positions, next, through, want)
			}
		}
		// Page by page nothing is missing, and nothing twice.
		for _, filter := range []string{"limit=3", "limit=1&types=B", "limit=2&categories=b&scan=3"} {
			all, _, _ := read(strings.NewReplacer("limit=3", "limit=100", "limit=1&", "limit=100&", "limit=2", "limit=100", "scan=3", "scan=100").Replace(filter))
			var paged []int64
			for after, rounds := "0", 0; rounds < 100; rounds++ {
				positions, next, _ := read(filter + "&after=" + after)
				paged = append(paged, positions...)
				if next == nil {
					break
				}
				after = *next
			}
			if fmt.Sprint(paged) != fmt.Sprint(all) {
				s.Errorf("%s: by pages %v, want %v", filter, paged, all)
			}
		}
	})
}

func TestBadRequestsAreNamed(t *testing.T) {
	t.Parallel()
	s := serve(t, memstore.New(memstore.Config{}))
	for request, want := range map[string]string{
		`POST /v1/streams/a-1 {}`:                                                                        `"pointer":"/type","detail":"must be given"`,
		`POST /v1/streams/a-1 {"events":[]}`:                                                             `"pointer":"/events"`,
		`POST /v1/streams/a-1 {"events":[{"type":"A"}],"type":"B"}`:                                      `"pointer":"/events"`,
		`POST /v1/streams/a-1 {"events":[{"type":"A"},{"data":1}]}`:                                      `"pointer":"/events/1/type"`,
		`POST /v1/streams/a-1 {"events":[{"type":"A"},{"type":"$b"}]}`:                                   `"pointer":"/events/1/type"`,
		`POST /v1/streams/a-1 {"type":"$b"}`:                                                             `"pointer":"/type"`,
		`POST /v1/streams/a-1 {"type":"A","id":"17"}`:                                                    `"pointer":"/id"`,
		`POST /v1/streams/a-1 {"type":"A","id":"00000000-0000-0000-0000-000000000000"}`:                  `"pointer":"/id"`,
		`POST /v1/streams/a-1 {"type":"A","schema_version":0}`:                                           `"pointer":"/schema_version"`,
		`POST /v1/streams/a-1 {"type":"A","schema_version":40000}`:                                       `"pointer":"/schema_version"`,
		`POST /v1/streams/a-1 {"type":"A","data":1,"data_base64":"AA==","content_type":"x"}`:             `"pointer":"/data_base64"`,
		`POST /v1/streams/a-1 {"type":"A","data_base64":"AA=="}`:                                         `"pointer":"/content_type"`,
		`POST /v1/streams/a-1 {"type":"A","data_base64":"?"}`:                                            `"pointer":"/data_base64"`,
		`POST /v1/streams/a-1 {"type":"A","metadata":{},"metadata_base64":"AA=="}`:                       `"pointer":"/metadata_base64"`,
		`POST /v1/streams/a-1 {"type":"A","expected":"new"}`:                                             `"pointer":"/expected"`,
		`POST /v1/streams/a-1 {"type":"A","expected":-1}`:                                                `"pointer":"/expected"`,
		`POST /v1/streams/a-1 {"type":"A","expected":null}`:                                              `"pointer":"/expected"`,
		`POST /v1/streams/a-1 {"type":"A","stream":"b"}`:                                                 `"pointer":"/stream"`,
		`POST /v1/streams/a-1 {"type":"A","data":{"n":1,"n":2}}`:                                         `"malformed-json"`,
		`POST /v1/streams/a-1`:                                                                           `"malformed-json"`,
		`POST /v1/streams/$a {"type":"A"}`:                                                               `"invalid-request"`,
		`POST /v1/streams/$$a-1 {"type":"A"}`:                                                            `"invalid-request"`,
		`POST /v1/streams/order-1 {"type":"A"}`:                                                          `"stream-of-aggregate"`,
		`POST /v1/append {"appends":[]}`:                                                                 `"pointer":"/appends"`,
		`POST /v1/append {"appends":[{"stream":"a-1","events":[]}]}`:                                     `"pointer":"/appends"`,
		`POST /v1/append {"appends":[{"stream":"a-1"}]}`:                                                 `"pointer":"/appends/0/events"`,
		`POST /v1/append {"appends":[{"stream":"$a","events":[{"type":"A"}]}]}`:                          `"pointer":"/appends/0/stream"`,
		`POST /v1/append {"appends":[{"stream":"a","events":[{"type":"A"},{"type":""}]}]}`:               `"pointer":"/appends/0/events/1/type"`,
		`POST /v1/append {"appends":[{"stream":"order-1","events":[{"type":"A"}]}]}`:                     `"stream-of-aggregate"`,
		`GET /v1/streams/a-1?from=-1`:                                                                    `"parameter":"from"`,
		`GET /v1/streams/a-1?direction=up`:                                                               `"parameter":"direction"`,
		`GET /v1/streams/a-1?limit=1001`:                                                                 `"parameter":"limit"`,
		`GET /v1/log?after=-1`:                                                                           `"parameter":"after"`,
		`GET /v1/log?after=1`:                                                                            `"parameter":"after","detail":"must not be beyond the end of the log, position 0"`,
		`GET /v1/log?types=A,`:                                                                           `"parameter":"types"`,
		`GET /v1/log?filter=%7B%22data%22:1%7D`:                                                          `"parameter":"filter","detail":"must be a pattern: /data:`,
		`GET /v1/log?consistency=x`:                                                                      `"invalid-token"`,
		`POST /v1/streams/a-1 {"type":"A","expected":1,"dedup_key":"` + strings.Repeat("k", 1025) + `"}`: `"invalid-request"`,
	} {
		w := s.ask(request)
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s = %d %s, want %s", request, w.Code, w.Body, want)
		}
	}
	s.want(400, `"pointer":"/expected"`, `POST /v1/streams/a-1 {"type":"A","expected":1}`, `If-Match: "1"`)
	s.want(200, `"items":[],"next":null,"through":0,"head":0}`, `GET /v1/log`) // nothing was written
	s.want(200, `"items":[]`, `GET /v1/log`, "Accept: text/event-stream;q=0, application/json")
}
