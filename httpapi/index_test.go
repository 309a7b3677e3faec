package httpapi_test

import (
	"context"
	"strings"
	"testing"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/httpapi"
)

type timedBody struct {
	At httpapi.Time `json:"at"`
}

type listedBody struct {
	timedBody
	ID     *string  `json:"id"`
	Lines  []line   `json:"lines"`
	Tags   []string `json:"tags"`
	Rate   float64  `json:"rate"`
	Secret bool     `json:"-"`
	Urgent bool
}

type line struct {
	Quantity *int64 `json:"quantity"`
	Parts    []line `json:"parts"`
}

func TestTheIndexListsWhatRoutesTake(t *testing.T) {
	t.Parallel()
	a := newAPI(t, httpapi.Config{})
	a.Section("things")
	httpapi.Command(a, "POST", "/things", httpapi.CommandOptions{},
		func(context.Context, httpapi.CommandRequest[listedBody]) (commands.Result, error) {
			return commands.Result{}, nil
		})
	httpapi.Command(a, "POST", "/nothing", httpapi.CommandOptions{},
		func(context.Context, httpapi.CommandRequest[struct{}]) (commands.Result, error) {
			return commands.Result{}, nil
		})
	limit := func(p *httpapi.Params) int { return p.Limit(10, 100) }
	httpapi.Read(a, "/things", limit, func(context.Context, httpapi.ReadRequest[int]) (int, error) { return 0, nil })

	h := handlerOf(t, a)
	index := text(t, do(h, "GET", "/", ""))
	for _, want := range []string{
		`{"method":"POST","path":"/things","access":{"action":"command"},"parameters":["dry_run"],"body":[{"name":"at","type":"string"},{"name":"id","type":"string"},` +
			`{"name":"lines","type":"array","members":[{"name":"quantity","type":"integer"},{"name":"parts","type":"array"}]},` +
			`{"name":"tags","type":"array"},{"name":"rate","type":"number"},{"name":"Urgent","type":"boolean"}]}`,
		`{"method":"POST","path":"/nothing","access":{"action":"command"},"parameters":["dry_run"]}`,
		`{"method":"GET","path":"/things","access":{"action":"read"},"parameters":["limit","consistency"]}`,
	} {
		if !strings.Contains(index, want) {
			t.Errorf("index = %s, want %s in it", index, want)
		}
	}
	people := do(h, "GET", "/", "", "Accept: */*", "User-Agent: curl/8.5.0")
	if got := text(t, people); !strings.HasPrefix(people.Header.Get("Content-Type"), "text/plain") ||
		!strings.HasPrefix(got, "things:\n  POST  /things   command  at id lines tags rate Urgent ?dry_run\n  POST  /nothing  command  ?dry_run\n  GET   /things   read     ?limit&consistency\nthis server:\n") {
		t.Errorf("the index for curl is %s:\n%s", people.Header.Get("Content-Type"), got)
	}
	for _, accept := range []string{"*/*", "application/json", "text/html, application/json;q=0.9, */*"} {
		if got := text(t, do(h, "GET", "/", "", "Accept: "+accept)); got != index {
			t.Errorf("the index for %s is not that of programs", accept)
		}
	}
	if p := wantProblem(t, do(h, "POST", "/things", ""), 400, "malformed-json"); !strings.Contains(p.Hint, "GET / lists") {
		t.Errorf("hint for an empty body = %q, want where its members are listed", p.Hint)
	}
}
