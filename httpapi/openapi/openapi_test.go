package openapi_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/httpapi/openapi"
	"github.com/57528e99/recount/internal/openapitest"
)

type base struct {
	At     httpapi.Time `json:"at"`
	Amount string       `json:"amount"` // hidden by that of deposit
}

type deposit struct {
	base
	Amount int64             `json:"amount"`
	Note   *string           `json:"note"`
	Tags   map[string]string `json:"tags"`
	Secret string            `json:"-"`
}

type opened struct {
	Owner string    `json:"owner"`
	At    time.Time `json:"at"`
	Parts []part    `json:"parts"`
}

type openedV1 struct{ Name string }

// part has parts.
type part struct {
	Name  string `json:"name,omitempty"`
	Parts []part `json:"parts,omitempty"`
}

type account struct {
	ID      uuid.UUID      `json:"id"`
	Balance int64          `json:"balance"`
	Limit   *int64         `json:"limit,omitzero"`
	Closed  *time.Time     `json:"closed"`
	Raw     jsontext.Value `json:"raw"`
	Debt    big.Int        `json:"debt"`
	Rate    float64        `json:"rate"`
	Digest  []byte         `json:"digest"`
	Root    part           `json:"root"`
}

func bank(t *testing.T) (*httpapi.API, *eventstore.Codec) {
	t.Helper()
	a, err := httpapi.New(httpapi.Config{})
	if err != nil {
		t.Fatal(err)
	}
	codec, err := eventstore.NewCodec(eventstore.TypeOf[opened]("Account opened", 2, eventstore.Was("Opened"),
		eventstore.Upcast(1, func(old openedV1) (opened, error) { return opened{Owner: old.Name}, nil })))
	if err != nil {
		t.Fatal(err)
	}
	openapi.Register(a, openapi.Info{Title: "bank", Version: "1"}, codec)
	poor := httpapi.Kind{Code: "too-poor", Status: http.StatusConflict, Title: "Too poor", Meaning: "There is less.", Fix: "Wait."}
	a.Section("accounts", httpapi.DomainProblem{Err: commands.ErrTruncated, Kind: poor})
	httpapi.Command(a, "POST", "/v1/accounts/{id}/deposit", httpapi.CommandOptions{Name: "account.deposit"},
		func(context.Context, httpapi.CommandRequest[deposit]) (commands.Result, error) {
			return commands.Result{}, nil
		})
	httpapi.Commands(a)
	sorts := func(p *httpapi.Params) int64 {
		by := p.OneOf("by", "day", "owner")
		p.OneOf("sort", by, "-"+by)
		p.Day("from")
		p.Flag("all")
		return p.Int("limit", 10, 1, 100)
	}
	httpapi.Read(a, "/v1/accounts", sorts, func(context.Context, httpapi.ReadRequest[int64]) (httpapi.Page[account], error) {
		return httpapi.Page[account]{Items: []account{{Raw: jsontext.Value(`[1]`)}}}, nil
	})
	httpapi.Action(a, "DELETE", "/v1/jobs/{id}", httpapi.ActionOptions[account]{Location: func(account) string { return "/" }},
		func(context.Context, httpapi.ActionRequest[struct{}]) (account, error) { return account{}, nil })
	return a, codec
}

func get(t *testing.T, a http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	a.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
	return w
}

// in returns what is at a place in JSON, as JSON.
func in(t *testing.T, text []byte, path ...string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, name := range path {
		o, _ := v.(map[string]any)
		v = o[name]
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTheDocumentSaysWhatThereIs(t *testing.T) {
	t.Parallel()
	a, _ := bank(t)
	w := get(t, a, "/openapi.json")
	document := w.Body.Bytes()
	if again := get(t, a, "/openapi.json"); w.Code != 200 || again.Header().Get("ETag") == "" || again.Header().Get("ETag") != w.Header().Get("ETag") {
		t.Errorf("/openapi.json = %d %v", w.Code, w.Header())
	}
	component := func(name string) []string { return []string{"components", "schemas", name} }
	deposit := []string{"paths", "/v1/accounts/{id}/deposit", "post"}
	list := []string{"paths", "/v1/accounts", "get"}
	for _, c := range []struct {
		path []string
		want string
	}{
		{append(component("Deposit"), "properties"), `{"amount":{"format":"int64","type":"integer"},"at":{"format":"date-time","type":"string"},` +
			`"note":{"type":["string","null"]},"tags":{"additionalProperties":{"type":"string"},"type":["object","null"]}}`},
		{append(component("Deposit"), "additionalProperties"), `false`},
		{append(component("Account"), "properties"), `{"balance":{"format":"int64","type":"integer"},` +
			`"closed":{"format":"date-time","type":["string","null"]},"debt":{},` +
			`"digest":{"contentEncoding":"base64","type":"string"},"id":{"format":"uuid","type":"string"},` +
			`"limit":{"format":"int64","type":"integer"},"rate":{"type":"number"},"raw":{},"root":{"$ref":"#/components/schemas/Part2"}}`},
		{append(component("Account"), "required"), `["id","balance","closed","raw","debt","rate","digest","root"]`},
		{append(component("PageAccount"), "properties", "next"), `{"type":["string","null"]}`},
		{append(component("Account opened.v1"), "required"), `null`},
		{append(component("Account_opened.v1"), "required"), `["Name"]`},
		{append(component("Account_opened.v2"), "properties", "parts"), `{"items":{"$ref":"#/components/schemas/Part"},"type":["array","null"]}`},
		{append(component("Part"), "properties", "parts"), `{"items":{"$ref":"#/components/schemas/Part"},"type":"array"}`},
		{append(component("CommandBody"), "properties", "type"), `{"enum":["account.deposit"],"type":"string"}`},
		{append(deposit, "operationId"), `"account.deposit"`},
		{append(deposit, "tags"), `["accounts"]`},
		{append(deposit, "requestBody", "required"), `true`},
		{append(deposit, "responses", "200", "content", "application/json", "schema"),
			`{"anyOf":[{"$ref":"#/components/schemas/Acknowledgement"},{"$ref":"#/components/schemas/Planned"}]}`},
		{append(deposit, "responses", "409", "description"), `"conflict, event-id-reused, history-unreadable, idempotency-in-progress, too-poor, truncated"`},
		{append(list, "parameters"), `[{"in":"query","name":"by","schema":{"enum":["day","owner"],"type":"string"}},` +
			`{"in":"query","name":"sort","schema":{"enum":["day","-day","owner","-owner"],"type":"string"}},` +
			`{"in":"query","name":"from","schema":{"format":"date","type":"string"}},{"in":"query","name":"all","schema":{"type":"boolean"}},` +
			`{"in":"query","name":"limit","schema":{"default":10,"maximum":100,"minimum":1,"type":"integer"}},` +
			`{"in":"query","name":"consistency","schema":{"maxLength":512,"minLength":1,"type":"string"}},` +
			`{"$ref":"#/components/parameters/Consistency-Token"},{"$ref":"#/components/parameters/Prefer"},{"$ref":"#/components/parameters/If-None-Match"}]`},
		{append(list, "responses", "409"), `{"$ref":"#/components/responses/Problem","description":"log-changed"}`},
		{[]string{"paths", "/v1/jobs/{id}", "delete", "requestBody"}, `null`},
		{[]string{"paths", "/v1/jobs/{id}", "delete", "responses", "202", "headers"}, `{"Location":{"$ref":"#/components/headers/Location"}}`},
		{[]string{"x-events", "Account opened", "former_names"}, `["Opened"]`},
		{[]string{"x-events", "Account opened", "versions", "1", "url"}, `"/schemas/Account%20opened/1"`},
	} {
		if got := in(t, document, c.path...); got != c.want {
			t.Errorf("%v = %s, want %s", c.path, got, c.want)
		}
	}
}

// What the standard demands of a document, and what the document says of answers, holds for those of the API.
func TestTheDocumentIsOpenAPI(t *testing.T) {
	t.Parallel()
	a, codec := bank(t)
	check := openapitest.New(t, openapi.Document(openapi.Info{Title: "bank", Version: "1"}, a, codec))
	for _, target := range []string{"/", "/livez", "/v1/commands", "/v1/accounts", "/v1/accounts?limit=0"} {
		check(httptest.NewRequest("GET", target, nil), get(t, a, target).Result())
	}
}

func TestEventsHaveSchemas(t *testing.T) {
	t.Parallel()
	a, _ := bank(t)
	for _, c := range []struct {
		target string
		status int
		want   string // part of the body
	}{
		{"/schemas/Account%20opened/2", 200, `"$id": "/schemas/Account%20opened/2"`},
		{"/schemas/Account%20opened/2", 200, `"$ref": "#/$defs/Part"`},
		{"/schemas/Opened/1", 200, `"Name"`},
		{"/schemas/Opened/3", 404, `x-events of /openapi.json`},
		{"/schemas/Closed/1", 404, `"not-found"`},
	} {
		if w := get(t, a, c.target); w.Code != c.status || !strings.Contains(w.Body.String(), c.want) {
			t.Errorf("%s = %d %s, want %d %s", c.target, w.Code, w.Body, c.status, c.want)
		}
	}
}

// The page has a policy by which a browser runs its own script, and nothing else.
func TestThePageLoadsNothingFromElsewhere(t *testing.T) {
	t.Parallel()
	a, _ := bank(t)
	w := get(t, a, "/docs")
	_, from, _ := strings.Cut(w.Body.String(), "<script>")
	script, _, _ := strings.Cut(from, "</script>")
	sum := sha256.Sum256([]byte(script))
	policy := w.Header().Get("Content-Security-Policy")
	if want := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"; w.Code != 200 || !strings.Contains(script, `fetch("/openapi.json")`) ||
		!strings.HasPrefix(policy, "default-src 'none'; connect-src 'self'") || !strings.Contains(policy, want) {
		t.Errorf("/docs = %d with the policy %q, want %q in it", w.Code, policy, want)
	}
	if page := w.Body.String(); strings.Contains(page, "://") || strings.Contains(page, " src=") || strings.Contains(page, "innerHTML") {
		t.Error("the page has something from elsewhere in it, or takes texts for HTML")
	}
}

func TestBreakingChangesAreFound(t *testing.T) {
	t.Parallel()
	a, codec := bank(t)
	before := string(openapi.Document(openapi.Info{}, a, codec))
	var o map[string]any
	for _, c := range []struct {
		path  []string
		value any // nil takes the member away
		want  string
	}{
		{[]string{"paths", "/v1/accounts", "get"}, nil, "GET /v1/accounts: the route is gone"},
		{[]string{"paths", "/v1/accounts", "get", "responses", "200"}, nil, "GET /v1/accounts: there is no answer 200 of application/json any longer"},
		{[]string{"paths", "/v1/accounts", "get", "parameters"}, nil, "parameter from in query is gone"},
		{[]string{"paths", "/v1/accounts", "get", "responses", "404"}, nil, ""},
		{[]string{"paths", "/v1/transfers"}, map[string]any{"post": map[string]any{}}, ""},
		{[]string{"components", "schemas", "Deposit", "properties", "note"}, nil, "POST /v1/accounts/{id}/deposit body/note: is gone"},
		{[]string{"components", "schemas", "Deposit", "properties", "new"}, map[string]any{"type": "string"}, ""},
		{[]string{"components", "schemas", "Deposit", "required"}, []any{"amount"}, "body/amount: must be sent"},
		{[]string{"components", "schemas", "Deposit", "properties", "note", "type"}, "string", "body/note: the type string or null is now string"},
		{[]string{"components", "schemas", "Deposit", "properties", "amount", "minimum"}, 1, "body/amount: minimum is now 1"},
		{[]string{"components", "schemas", "Deposit", "properties", "note", "enum"}, []any{"a"}, "body/note: must be one of [a]"},
		{[]string{"components", "schemas", "CommandBody", "properties", "type", "enum"}, []any{"account.draw"}, "account.deposit is none of the values"},
		{[]string{"components", "schemas", "Account", "properties", "balance"}, nil, "GET /v1/accounts answer 200/items/*/balance: is gone"},
		{[]string{"components", "schemas", "Account", "properties", "balance", "type"}, "string", "/balance: the type integer is now string"},
		{[]string{"components", "schemas", "Account", "properties", "id", "format"}, nil, "/id: the format uuid is now <nil>"},
		{[]string{"components", "schemas", "Account", "properties", "id", "type"}, []any{"string", "null"}, "/id: the type string is now string or null"},
		{[]string{"components", "schemas", "Account", "properties", "closed", "type"}, "string", ""},
		{[]string{"components", "schemas", "Account", "properties", "new"}, map[string]any{"type": "string"}, ""},
		{[]string{"components", "schemas", "Account", "required"}, nil, "/balance: may be missing"},
		{[]string{"components", "schemas", "Planned", "properties", "events"}, nil, "answer 200: alternative Planned is gone"},
		{[]string{"components", "schemas", "Part", "properties", "name"}, nil, "event Account opened version 2/parts/*/name: is gone"},
		{[]string{"x-events", "Account opened", "versions", "1"}, nil, "event Account opened version 1: is gone"},
		{[]string{"x-events", "Closed"}, map[string]any{}, ""},
	} {
		if err := json.Unmarshal([]byte(before), &o); err != nil {
			t.Fatal(err)
		}
		last := o
		for _, name := range c.path[:len(c.path)-1] {
			last, _ = last[name].(map[string]any)
		}
		name := c.path[len(c.path)-1]
		if last[name] = c.value; c.value == nil {
			delete(last, name)
		}
		after, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		found, err := openapi.Breaking([]byte(before), after)
		if err != nil || (c.want == "") != (len(found) == 0) || !strings.Contains(strings.Join(found, "\n"), c.want) {
			t.Errorf("%v = %v: %q, %v; want %q", c.path, c.value, found, err, c.want)
		}
		o = nil
	}
	if _, err := openapi.Breaking([]byte(before), []byte("{")); err == nil {
		t.Error("half a document is compared")
	}
}
