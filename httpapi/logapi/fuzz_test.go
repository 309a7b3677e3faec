package logapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/logapi"
)

// FuzzAppend sends bodies: none is a fault of the server, and what was taken comes back as it was sent.
func FuzzAppend(f *testing.F) {
	for _, body := range []string{
		`{"type":"A","data":{ "n" : 1.0 },"metadata":null,"expected":"any"}`,
		`{"events":[{"type":"A","data_base64":"AP8=","content_type":"x"},{"type":"B","data":"\u00e9"}],"expected":"no_stream","dedup_key":"k"}`,
		`{"id":"0b9f2b6e-8d5d-4c8e-9d53-2f4b4b0a9f01","type":"A","schema_version":3,"metadata_base64":"AA==","expected":17}`,
		`{"appends":[{"stream":"a-1","events":[{"type":"A"}],"expected":"stream_exists"},{"stream":"b","events":[]}]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		a, err := httpapi.New(httpapi.Config{Problems: logapi.Problems()})
		if err != nil {
			t.Fatal(err)
		}
		store := memstore.New(memstore.Config{})
		logapi.Register(a, logapi.Config{Log: store})
		ask := func(method, path, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequest(method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			a.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Fatalf("%s %s %q = %d %s", method, path, body, w.Code, w.Body)
			}
			return w
		}
		ask("POST", "/v1/streams/a-1?dry_run=1", body)
		taken := ask("POST", "/v1/streams/a-1", body).Code == 200
		taken = ask("POST", "/v1/append", body).Code == 200 || taken
		log := ask("GET", "/v1/log", "").Body.String()
		for e, err := range store.ReadAll(t.Context(), eventstore.ReadOptions{}) {
			if err != nil {
				t.Fatal(err)
			}
			if text := string(e.Data); len(text) > 0 && !strings.Contains(body, "base64") && !(strings.Contains(body, text) && strings.Contains(log, text)) {
				t.Errorf("%q became %q, and is read as %s", body, text, log)
			}
			taken = false
		}
		if taken {
			t.Errorf("%q was taken, and nothing is there", body)
		}
	})
}
