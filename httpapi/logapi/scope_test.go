package logapi_test

import (
	"net/http"
	"testing"

	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/logapi"
	"github.com/57528e99/recount/security"
)

// TestAScopeIsThePartOfTheLogThatIsThere, by whichever route.
func TestAScopeIsThePartOfTheLogThatIsThere(t *testing.T) {
	t.Parallel()
	principals := map[string]security.Principal{
		"all":    security.Trusted("all"),
		"tenant": {Name: "tenant", Roles: []security.Action{security.Read, security.Append}, Scope: security.Scope{Prefixes: []string{"a-1-"}}},
		"reader": {Name: "reader", Roles: []security.Action{security.Read}, Scope: security.Scope{Categories: []string{"b"}}},
	}
	a, err := httpapi.New(httpapi.Config{Problems: logapi.Problems(), Authenticate: func(r *http.Request) (security.Principal, error) {
		p, ok := principals[r.Header.Get("Authorization")]
		if !ok {
			return p, &security.Unauthenticated{Reason: security.ReasonMissing}
		}
		return p, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	logapi.Register(a, logapi.Config{Log: memstore.New(memstore.Config{})})
	h, err := a.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t, h}
	as := func(who string, status int, text, request string) {
		t.Helper()
		s.want(status, text, request, "Authorization: "+who)
	}
	as("all", 200, `"position":3`, `POST /v1/append {"appends":[{"stream":"a-1-x","events":[{"type":"A"}]},{"stream":"a-10-x","events":[{"type":"A"}]},{"stream":"b-1","events":[{"type":"A"}]}]}`)
	as("tenant", 200, `"position":4`, `POST /v1/streams/a-1-y {"type":"A"}`)
	as("tenant", 403, `"forbidden"`, `POST /v1/streams/a-10-x {"type":"A"}`)
	as("tenant", 403, `"forbidden"`, `POST /v1/append {"appends":[{"stream":"a-1-x","events":[{"type":"A"}]},{"stream":"b-1","events":[{"type":"A"}]}]}`)
	as("tenant", 403, `"forbidden"`, "GET /v1/streams/b-1")
	as("tenant", 200, `{"items":[{"position":1,`, "GET /v1/log?limit=1")
	as("tenant", 200, `{"items":[{"position":4,`, "GET /v1/log?limit=1&after=1")
	as("tenant", 404, "", "GET /v1/events/3")
	as("reader", 200, `{"items":[{"position":3,`, "GET /v1/log")
	as("reader", 200, `"position":3`, "GET /v1/events/3")
	as("reader", 403, `"forbidden"`, `POST /v1/streams/b-1 {"type":"A"}`)
	as("", 401, "", "GET /v1/log")
}
