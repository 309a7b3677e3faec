package httpapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

const shared = "/v1/commands"

func TestCommandsAreListed(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	want := `{"commands":[{"name":"purse.open","method":"POST","path":"/purses","body":[{"name":"id","type":"string"},{"name":"amount","type":"integer"}]},` +
		`{"name":"purse.move","method":"POST","path":"/purses/{id}/move","body":[{"name":"at","type":"string"},{"name":"amount","type":"integer"}]}]}` + "\n"
	if got := text(t, do(b, "GET", shared, "")); got != want {
		t.Errorf("list = %s, want %s without those that have no name or are internal", got, want)
	}
	wantProblem(t, do(b, "GET", shared+"?x=1", ""), 400, "invalid-parameter")
}

// One key is one command, whichever way it comes by; refusals too.
func TestCommandsComeByTwoRoutes(t *testing.T) {
	for _, c := range []struct{ name, target, body, shared, id string }{
		{"success", "/purses/a/move", `{"amount":5}`, `{"type":"purse.move","id":"a","data":{"amount":5},"key":"k"}`, "a"},
		{"refusal", "/purses/a/move", `{"amount":-5}`, `{"type":"purse.move","id":"a","data":{ "amount" : -5 },"key":"k"}`, ""},
		{"creation", "/purses", `{"id":"a","amount":5}`, `{"type":"purse.open","id":"a","data":{"id":"\u0061","amount":5},"key":"k"}`, "a"},
		{"creation with the id in it", "/purses", `{"amount":5,"id":"a b"}`, `{"type":"purse.open","data":{"amount":5,"id":"a b"},"key":"k"}`, "a b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, sharedFirst := range []bool{false, true} {
				b := newBench(t, httpapi.Config{})
				own := func() (int, string, string) {
					r := do(b, "POST", c.target, c.body, "Idempotency-Key: k")
					return r.StatusCode, text(t, r), r.Header.Get("ETag") + r.Header.Get("Location") + r.Header.Get("Consistency-Token")
				}
				bySharedRoute := func() (int, string, string) {
					r := do(b, "POST", shared, c.shared)
					return r.StatusCode, text(t, r), r.Header.Get("ETag") + r.Header.Get("Location") + r.Header.Get("Consistency-Token")
				}
				first, second := own, bySharedRoute
				if sharedFirst {
					first, second = second, first
				}
				status, body, header := first()
				events := len(b.events(t))
				statusAgain, bodyAgain, headerAgain := second()
				if len(b.events(t)) != events {
					t.Fatalf("the command ran twice: %s, then %s", body, bodyAgain)
				}
				if sharedFirst {
					body, bodyAgain = bodyAgain, body
				}
				if c.id != "" && !strings.Contains(body, `"id"`) { // body is now that of the own route, whose path may have it
					body = strings.TrimSuffix(body, "}\n") + fmt.Sprintf(`,"id":%q}`, c.id) + "\n"
				}
				if status != statusAgain || body != bodyAgain || header != headerAgain {
					t.Errorf("answers are %d %s %s and %d %s %s", status, body, header, statusAgain, bodyAgain, headerAgain)
				}
			}
		})
	}
}

func TestSharedRouteRefusesWhatItCannotTake(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	do(b, "POST", "/purses/a/move", `{"amount":5}`)
	for _, c := range []struct {
		body, header  string
		status        int
		code, pointer string
	}{
		{`{}`, "", 400, "invalid-body", "/type"},
		{`{"type":"purse.steal","id":"a"}`, "", 400, "invalid-body", "/type"},
		{`{"type":"purse.settle","id":"a","data":{"amount":1}}`, "", 400, "invalid-body", "/type"},
		{`{"type":"purse.move","data":{"amount":1}}`, "", 400, "invalid-body", "/id"},
		{`{"type":"purse.move","id":"a\nb","data":{"amount":1}}`, "", 400, "invalid-body", "/id"},
		{`{"type":"purse.open","id":"b","data":{"id":"c","amount":1}}`, "", 400, "invalid-body", "/id"},
		{`{"type":"purse.move","id":"a","data":{"amount":"1"}}`, "", 400, "invalid-body", "/data/amount"},
		{`{"type":"purse.move","id":"a","data":{"amont":1}}`, "", 400, "invalid-body", "/data/amont"},
		{`{"type":"purse.move","id":"a","data":null}`, "", 400, "invalid-body", "/data"},
		{`{"type":"purse.open","id":"b","data":[]}`, "", 400, "invalid-body", "/data"},
		{`{"type":"purse.move","id":"a","data":{"amount":1},"when":1}`, "", 400, "invalid-body", "/when"},
		{`{"type":"purse.move","id":"a","data":{"amount":-6}}`, "", 422, "rejected", "/data/amount"},
		{`{"type":"purse.move","id":"a","data":{"amount":-6},"key":"k"}`, "", 422, "rejected", "/data/amount"},
		{`{"type":"purse.move","id":"a","data":{"amount":1},"expected_version":7}`, "", 412, "precondition-failed", ""},
		{`{"type":"purse.move","id":"a","data":{"amount":1},"expected_version":-1}`, "", 412, "precondition-failed", ""},
		{`{"type":"purse.move","id":"a","data":{"amount":1},"expected_version":-2}`, "", 400, "invalid-body", "/expected_version"},
		{`{"type":"purse.move","id":"a","data":{"amount":1},"key":"é"}`, "", 400, "invalid-idempotency-key", "/key"},
		{`{"type":"purse.move","id":"a","data":{"amount":1},"key":"k"}`, "Idempotency-Key: l", 400, "invalid-body", "/key"},
		{`{"type":"purse.move","id":"a","data":{"amount":1}}`, `If-Match: "0"`, 400, "invalid-header", ""},
		{`{"commands":[{"type":"purse.move"}]}`, "Idempotency-Key: l", 400, "invalid-header", ""},
		{`{"commands":[{"type":"purse.move"}],"id":"a"}`, "", 400, "invalid-body", "/commands"},
		{`{"commands":[]}`, "", 400, "invalid-body", "/commands"},
		{`{"commands":[` + strings.Repeat(`{},`, 100) + `{}]}`, "", 400, "invalid-body", "/commands"},
	} {
		var headers []string
		if c.header != "" {
			headers = append(headers, c.header)
		}
		p := wantProblem(t, do(b, "POST", shared, c.body, headers...), c.status, c.code)
		if c.pointer != "" && (len(p.Errors) != 1 || p.Errors[0].Pointer == nil || *p.Errors[0].Pointer != c.pointer) {
			t.Errorf("%.80s: errors = %+v, want %s blamed", c.body, p.Errors, c.pointer)
		}
		if c.pointer == "/type" && !strings.Contains(p.Detail, "known are purse.open, purse.move.") {
			t.Errorf("detail = %q, want the commands that there are", p.Detail)
		}
	}
	if got := len(b.events(t)); got != 1 {
		t.Errorf("there are %d events, want 1", got)
	}
}

func TestBatch(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	const batch = `{"commands":[
		{"type":"purse.open","id":"a","data":{"amount":5},"key":"1"},
		{"type":"purse.move","id":"a","data":{"amount":-6},"key":"2"},
		{"type":"purse.steal"},
		{"type":"purse.move","id":"a","data":{"amount":-5},"expected_version":0}]}`
	type answer struct {
		Items []struct {
			Status  int
			Result  json.RawMessage
			Problem *struct {
				Code   string
				Status int
			}
			Replayed bool
		}
	}
	send := func(target string) (list answer, token string) {
		resp := do(b, "POST", target, batch)
		body := text(t, resp)
		if err := json.Unmarshal([]byte(body), &list); err != nil || resp.StatusCode != 200 || len(list.Items) != 4 {
			t.Fatalf("answer = %d %s, want 4 items", resp.StatusCode, body)
		}
		return list, resp.Header.Get("Consistency-Token")
	}
	check := func(list answer, want ...string) {
		t.Helper()
		for i, item := range list.Items {
			got := fmt.Sprint(item.Status, " ", string(item.Result))
			if item.Problem != nil {
				got = fmt.Sprint(item.Status, " ", item.Problem.Code)
			}
			if item.Replayed {
				got += " again"
			}
			if got != want[i] {
				t.Errorf("item %d = %s, want %s", i, got, want[i])
			}
		}
	}
	// A dry run judges each by what is there.
	list, token := send(shared + "?dry_run=1")
	check(list, `200 {"events":[{"stream":"purse-a","type":"Moved","schema_version":1,"data":{"amount":5,"at":"2020-02-03T04:05:06Z"}}]}`,
		"422 rejected", "400 invalid-body", "412 precondition-failed")
	if token != "" || len(b.events(t)) != 0 {
		t.Fatal("a dry run has written")
	}
	list, token = send(shared)
	check(list, `201 {"stream":"purse-a","version":0,"position":1,"id":"a"}`, "422 rejected", "400 invalid-body",
		`200 {"stream":"purse-a","version":1,"position":2,"id":"a"}`)
	if place, err := eventstore.ParseToken(token); err != nil || place.Position != 2 {
		t.Errorf("Consistency-Token = %+v, %v, want that of the last command", place, err)
	}
	list, _ = send(shared)
	check(list, `201 {"stream":"purse-a","version":0,"position":1,"id":"a"} again`, "422 rejected again", "400 invalid-body", "412 precondition-failed")
}

// A command in Go has the scope of one over HTTP, also one that is not to be had there.
func TestCommandsRunInGo(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	run := func(name, id, data, key string, o commands.Options) (commands.Result, error) {
		if key != "" {
			o.Receipt = &commands.ReceiptRequest{Key: key}
		}
		return b.api.Run(t.Context(), name, id, []byte(data), o)
	}
	do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k")
	if got, err := run("purse.move", "a", `{"amount":5}`, "k", commands.Options{}); err != nil || !got.Replayed {
		t.Errorf("Run = %+v, %v, want the answer of the first", got, err)
	}
	if got, err := run("purse.settle", "a", `{"amount":-1}`, "k", commands.Options{Actor: "cron"}); err != nil || got.Version != 1 {
		t.Errorf("Run = %+v, %v, want version 1", got, err)
	}
	wantProblem(t, do(b, "POST", "/purses/a/settle", `{"amount":-1}`), 404, "route-not-found")
	_, err := run("purse.move", "a", `{"amount":-5}`, "refused", commands.Options{})
	if !errors.Is(err, commands.ErrRejected) {
		t.Errorf("error = %v, want the refusal", err)
	}
	resp := do(b, "POST", "/purses/a/move", `{"amount":-5}`, "Idempotency-Key: refused")
	if p := wantProblem(t, resp, 422, "rejected"); resp.Header.Get("Idempotency-Replayed") != "true" || p.Detail != errEmpty.Error() {
		t.Errorf("over HTTP the refusal is %+v", p)
	}
	for _, c := range [][3]string{{"purse.steal", "a", `{}`}, {"purse.move", "", `{}`}, {"purse.move", "a", `{"amont":1}`}} {
		var p *httpapi.Problem
		if _, err := run(c[0], c[1], c[2], "", commands.Options{}); !errors.As(err, &p) || p.Code != "invalid-body" {
			t.Errorf("Run(%q) = %v, want a problem", c, err)
		}
	}
	if got, err := run("purse.move", "a", `{"amount":1}`, "", commands.Options{DryRun: true}); err != nil || len(got.Planned) != 1 {
		t.Errorf("dry run = %+v, %v", got, err)
	}
	if got := len(b.events(t)); got != 2 {
		t.Errorf("there are %d events, want 2", got)
	}
}

type transferBody struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
}

// A unit over several streams is a command like others.
func TestUnitsAreCommands(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	units, err := commands.NewUnits(b.store, commands.UnitConfig{})
	if err != nil {
		t.Fatal(err)
	}
	a := newAPI(t, httpapi.Config{})
	httpapi.Command(a, "POST", "/transfers", httpapi.CommandOptions{Name: "transfer"},
		func(ctx context.Context, in httpapi.CommandRequest[transferBody]) (commands.Result, error) {
			return units.Handle(ctx, "transfer", func(tx *commands.Unit) error {
				if p, _ := b.purses.Get(tx, in.Body.From); p.Balance < in.Body.Amount {
					return errEmpty
				}
				b.purses.Put(tx, in.Body.From, moved{-in.Body.Amount, in.Now})
				b.purses.Put(tx, in.Body.To, moved{in.Body.Amount, in.Now})
				return nil
			}, in.Options)
		})
	httpapi.Commands(a)
	h := handlerOf(t, a)
	do(b, "POST", "/purses/a/move", `{"amount":5}`)
	const ack = `{"stream":"purse-a","version":1,"position":3,"streams":[{"stream":"purse-a","version":1,"position":2},{"stream":"purse-b","version":0,"position":3}]}`
	if got := text(t, do(h, "POST", "/transfers", `{"from":"a","to":"b","amount":5}`, "Idempotency-Key: k")); got != ack+"\n" {
		t.Errorf("answer = %s, want %s", got, ack)
	}
	resp := do(h, "POST", shared, `{"type":"transfer","data":{"from":"a","to":"b","amount":5},"key":"k"}`)
	if got := text(t, resp); got != ack+"\n" || resp.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("answer by the other route = %s, want %s again", got, ack)
	}
	if got := text(t, do(h, "POST", "/transfers?dry_run=1", `{"from":"b","to":"a","amount":1}`)); strings.Count(got, `"type":"Moved"`) != 2 {
		t.Errorf("dry run = %s, want two events", got)
	}
	wantProblem(t, do(h, "POST", "/transfers", `{"from":"a","to":"b","amount":5}`), 422, "rejected")
	wantProblem(t, do(h, "POST", "/transfers", `{"from":"b","to":"a","amount":5}`, `If-Match: "1"`), 400, "invalid-request")
	if got := len(b.events(t)); got != 3 {
		t.Errorf("there are %d events, want 3", got)
	}
}
