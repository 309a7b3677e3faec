package httpapi_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
)

func TestCommandAnswersWithItsPlaceInTheLog(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	do(b, "POST", "/purses/a/move", `{"amount":5}`)

	resp := do(b, "POST", "/purses/a/move", `{"amount":7}`)
	if got, want := text(t, resp), `{"stream":"purse-a","version":1,"position":2}`+"\n"; resp.StatusCode != 200 || got != want {
		t.Errorf("answer = %d %q, want 200 %q", resp.StatusCode, got, want)
	}
	if got := resp.Header.Get("ETag"); got != `"1"` {
		t.Errorf("ETag = %s, want \"1\"", got)
	}
	token, err := eventstore.ParseToken(resp.Header.Get("Consistency-Token"))
	if err != nil || token.Position != 2 {
		t.Errorf("Consistency-Token = %+v, %v, want position 2", token, err)
	}
	if got := resp.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control = %q, want no-store", got)
	}
}

func TestCommandThatCreatesAnswersWithLocation(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	resp := do(b, "POST", "/purses", `{"id":"red bag/1","amount":5}`)
	if got := resp.Header.Get("Location"); resp.StatusCode != 201 || got != "/purses/red%20bag%2F1" {
		t.Fatalf("answer = %d with Location %q", resp.StatusCode, got)
	}
	if resp := do(b, "POST", resp.Header.Get("Location")+"/move", `{"amount":1}`, `If-Match: "0"`); resp.StatusCode != 200 {
		t.Errorf("the Location does not lead to what was created: %s", text(t, resp))
	}
	if data := string(b.events(t)[0].Data); !strings.Contains(data, `"2020-02-03T04:05:06Z"`) {
		t.Errorf("event = %s, want the time of the request in microseconds", data)
	}
}

func TestCommandWithNothingToDo(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	resp := do(b, "POST", "/purses/a/touch", "")
	if got, want := text(t, resp), `{"stream":"purse-a","version":-1,"position":0}`+"\n"; got != want || resp.Header.Get("ETag") != "" {
		t.Errorf("answer = %q with ETag %q, want %q with none", got, resp.Header.Get("ETag"), want)
	}
	resp = do(b, "POST", "/purses/a/touch", `{"amount":1}`, "Content-Type: application/json; charset=UTF-8")
	if resp.StatusCode != 200 {
		t.Errorf("an optional body is not taken: %s", text(t, resp))
	}
}

func TestCommandCarriesTimeAndTrace(t *testing.T) {
	const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	b := newBench(t, httpapi.Config{})
	do(b, "POST", "/purses/a/move", `{"amount":1}`, "X-Request-Id: r1")
	do(b, "POST", "/purses/a/move", `{"amount":1,"at":"2011-12-09T12:50:00+01:00"}`, "X-Request-Id: r2",
		"Traceparent: "+trace, "Tracestate: a=1")
	do(b, "POST", "/purses/a/move", `{"amount":1}`, "X-Request-Id: r3", "Traceparent: "+trace, "X-Correlation-Id: visit 7")

	want := []commands.Metadata{
		{CorrelationID: "r1", CausationID: "r1", At: now},
		{CorrelationID: trace[3:35], CausationID: "r2", TraceParent: trace, TraceState: "a=1"},
		{CorrelationID: "visit 7", CausationID: "r3", At: now, TraceParent: trace},
	}
	for i, e := range b.events(t) {
		got, err := commands.ParseMetadata(e.Metadata)
		if i == 1 {
			if got.At.Format("15:04:05Z07:00") != "11:50:00Z" {
				t.Errorf("event 1 is of %v, want 11:50 UTC", got.At)
			}
			got.At = want[1].At
		}
		if err != nil || got != want[i] {
			t.Errorf("metadata of event %d = %+v, %v, want %+v", i, got, err, want[i])
		}
	}
}

func TestPreconditions(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	do(b, "POST", "/purses/a/move", `{"amount":5}`)
	for _, c := range []struct {
		id, header       string
		status           int
		expected, actual int64
	}{
		{"a", `If-Match: "0"`, 200, 0, 0},
		{"a", `If-Match: "0"`, 412, 0, 1},
		{"a", `If-Match: "9"`, 412, 9, 1},
		{"a", `If-Match: *`, 200, 0, 0},
		{"b", `If-Match: *`, 412, -2, -1},
		{"b", `If-Match: "0"`, 412, 0, -1},
		{"b", `If-None-Match: *`, 200, 0, 0},
		{"b", `If-None-Match: *`, 412, -2, 0},
	} {
		resp := do(b, "POST", "/purses/"+c.id+"/move", `{"amount":1}`, c.header)
		if c.status == 200 {
			if resp.StatusCode != 200 {
				t.Errorf("%s of %s = %s, want 200", c.header, c.id, text(t, resp))
			}
			continue
		}
		p := wantProblem(t, resp, 412, "precondition-failed")
		if p.Actual == nil || *p.Actual != c.actual {
			t.Errorf("%s of %s: actual = %v, want %d", c.header, c.id, p.Actual, c.actual)
		}
		if (p.Expected == nil) != (c.expected == -2) || p.Expected != nil && *p.Expected != c.expected {
			t.Errorf("%s of %s: expected = %v, want %d", c.header, c.id, p.Expected, c.expected)
		}
	}
}

func TestRefusalBecomesProblem(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	p := wantProblem(t, do(b, "POST", "/purses/a/move", `{"amount":-1}`), 422, "rejected")
	if p.Detail != errEmpty.Error() {
		t.Errorf("detail = %q, want %q", p.Detail, errEmpty)
	}
	if len(p.Errors) != 1 || *p.Errors[0].Pointer != "/amount" || p.Errors[0].Detail != "must not be more than there is" {
		t.Errorf("errors = %+v, want the amount blamed", p.Errors)
	}
	p = wantProblem(t, do(b, "POST", "/purses/a/move", `{"amount":-13}`), 409, "purse-locked")
	if p.Title != kindLocked.Title || p.Hint != kindLocked.Fix {
		t.Errorf("problem = %+v, want that of the table", p)
	}
}

func TestIdempotentReplay(t *testing.T) {
	for _, c := range []struct {
		name, target, body string
		status             int
	}{
		{"success", "/purses/a/move", `{"amount":5,"at":"2011-12-09T12:50:00Z"}`, 200},
		{"creation", "/purses", `{"id":"a","amount":5}`, 201},
		{"nothing to do", "/purses/a/move", `{"amount":0}`, 200},
		{"refusal", "/purses/a/move", `{"amount":-1}`, 422},
		{"refusal of the table", "/purses/a/move", `{"amount":-13}`, 409},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, httpapi.Config{})
			first := do(b, "POST", c.target, c.body, `Idempotency-Key: "k 1"`, "X-Request-Id: one")
			firstBody := text(t, first)
			if first.StatusCode != c.status || first.Header.Get("Idempotency-Replayed") != "" {
				t.Fatalf("first answer = %d %s, replayed %q", first.StatusCode, firstBody, first.Header.Get("Idempotency-Replayed"))
			}
			written := len(b.events(t))
			// What happens in between must not change the answer.
			do(b, "POST", "/purses/a/move", `{"amount":100}`)

			again := do(b, "POST", c.target, " "+c.body+"\n", `Idempotency-Key: "k 1"`, "X-Request-Id: two",
				"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
			if got := text(t, again); again.StatusCode != c.status || got != firstBody {
				t.Errorf("second answer = %d %s, want %d %s", again.StatusCode, got, c.status, firstBody)
			}
			for _, name := range []string{"Idempotency-Replayed", "X-Idempotency-Replayed"} {
				if again.Header.Get(name) != "true" {
					t.Errorf("%s = %q, want true", name, again.Header.Get(name))
				}
			}
			for _, name := range []string{"Content-Type", "ETag", "Location", "Consistency-Token"} {
				if got, want := again.Header.Get(name), first.Header.Get(name); got != want {
					t.Errorf("%s = %q, want %q", name, got, want)
				}
			}
			if got := len(b.events(t)); got != written+1 {
				t.Errorf("there are %d events, want %d", got, written+1)
			}
		})
	}
}

func TestIdempotencyKeyForAnotherRequest(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k")
	wantProblem(t, do(b, "POST", "/purses/a/move", `{"amount":6}`, "Idempotency-Key: k"), 422, "idempotency-key-reused")
	for _, target := range []string{"/purses/a/touch", "/purses/b/move"} {
		if resp := do(b, "POST", target, `{"amount":5}`, "Idempotency-Key: k"); resp.StatusCode != 200 || resp.Header.Get("Idempotency-Replayed") != "" {
			t.Errorf("the key is not free for %s: %s", target, text(t, resp))
		}
	}
	if got := len(b.events(t)); got != 3 {
		t.Errorf("there are %d events, want 3", got)
	}
}

// byHeader takes the word of the client for who it is.
func byHeader(r *http.Request) (string, error) {
	switch actor := r.Header.Get("X-Actor"); actor {
	case "nobody":
		return "", errors.New("the secret is wrong")
	case "banned":
		return "", kindLocked.Problem("You are banned.")
	default:
		return actor, nil
	}
}

func TestActorIsInEventsAndInTheScopeOfKeys(t *testing.T) {
	b := newBench(t, httpapi.Config{Actor: byHeader})
	// The last two differ behind what fits into a scope.
	actors := []string{"", "ada", "ada move", strings.Repeat("ä", 255), strings.Repeat("ä", 254) + "b"}
	for i := range 2 {
		for _, actor := range actors {
			resp := do(b, "POST", "/purses/a/move", `{"amount":1}`, "Idempotency-Key: k", "X-Actor: "+actor)
			if resp.StatusCode != 200 || (resp.Header.Get("Idempotency-Replayed") == "true") != (i == 1) {
				t.Errorf("run %d for %q = %s", i, actor, text(t, resp))
			}
		}
	}
	events := b.events(t)
	if len(events) != len(actors) {
		t.Fatalf("there are %d events, want %d", len(events), len(actors))
	}
	for i, e := range events {
		if m, err := commands.ParseMetadata(e.Metadata); err != nil || m.Actor != actors[i] {
			t.Errorf("event %d is of actor %q, %v, want %q", i, m.Actor, err, actors[i])
		}
	}
	for actor, code := range map[string]string{"nobody": "unauthenticated", "a\x01": "unauthenticated", "banned": "purse-locked"} {
		p := readProblem(t, do(b, "POST", "/purses/a/move", `{"amount":1}`, "X-Actor: "+actor))
		if p.Code != code || strings.Contains(p.Detail, "secret") {
			t.Errorf("problem for %q = %s (%s), want %s without the cause", actor, p.Code, p.Detail, code)
		}
	}
}

func TestDryRun(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	do(b, "POST", "/purses/a/move", `{"amount":5}`)
	want := `{"events":[{"stream":"purse-a","type":"Moved","schema_version":1,"data":{"amount":-5,"at":"2020-02-03T04:05:06Z"}}]}` + "\n"
	for range 2 {
		resp := do(b, "POST", "/purses/a/move?dry_run=1", `{"amount":-5}`, "Idempotency-Key: k")
		if got := text(t, resp); resp.StatusCode != 200 || got != want || resp.Header.Get("ETag") != "" {
			t.Errorf("answer = %d %s, want 200 %s", resp.StatusCode, got, want)
		}
	}
	if resp := do(b, "POST", "/purses?dry_run", `{"id":"new","amount":0}`); resp.StatusCode != 200 || text(t, resp) != `{"events":[]}`+"\n" {
		t.Errorf("a dry run with nothing to do is answered with %d", resp.StatusCode)
	}
	wantProblem(t, do(b, "POST", "/purses/a/move?dry_run=1", `{"amount":-6}`), 422, "rejected")
	wantProblem(t, do(b, "POST", "/purses/a/move?dry_run=1", `{"amount":1}`, `If-Match: "7"`), 412, "precondition-failed")
	wantProblem(t, do(b, "POST", "/purses/a/move?dry_run=no", `{"amount":1}`), 400, "invalid-parameter")
	if got := len(b.events(t)); got != 1 {
		t.Errorf("there are %d events, want 1", got)
	}
	if resp := do(b, "POST", "/purses/a/move", `{"amount":-5}`, "Idempotency-Key: k"); resp.Header.Get("Idempotency-Replayed") != "" {
		t.Error("a dry run kept a receipt")
	}
}

func TestInvalidRequestIsNotKept(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	wantProblem(t, do(b, "POST", "/purses/a/move", `{"amount":"5"}`, "Idempotency-Key: k"), 400, "invalid-body")
	wantProblem(t, do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k", "If-Match: *"), 412, "precondition-failed")
	if resp := do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k"); resp.StatusCode != 200 {
		t.Errorf("the key was used up: %s", text(t, resp))
	}
}

func TestIdempotencyKeyInProgress(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	entered, leave := make(chan struct{}), make(chan struct{})
	b.meanwhile = func() { entered <- struct{}{}; <-leave }
	first := make(chan *http.Response)
	go func() { first <- do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k") }()
	<-entered

	resp := do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("there is no Retry-After")
	}
	wantProblem(t, resp, 409, "idempotency-in-progress")
	close(leave)
	if got := (<-first).StatusCode; got != 200 {
		t.Errorf("the first answer is %d, want 200", got)
	}
	b.meanwhile = nil
	if resp := do(b, "POST", "/purses/a/move", `{"amount":5}`, "Idempotency-Key: k"); resp.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("afterwards the answer is not replayed: %s", text(t, resp))
	}
}

func TestLongRefusalIsKept(t *testing.T) {
	a := newAPI(t, httpapi.Config{})
	long := strings.Repeat("\x01\"", 100_000)
	httpapi.Command(a, "POST", "/long", httpapi.CommandOptions{}, func(_ ctx, in httpapi.CommandRequest[struct{}]) (commands.Result, error) {
		answer := in.Options.Receipt.Answer(manyErrors(long))
		if len(answer.Body) > commands.MaxAnswerBytes {
			t.Errorf("the answer to keep has %d bytes, at most %d fit", len(answer.Body), commands.MaxAnswerBytes)
		}
		return commands.Result{}, &commands.RejectedError{Err: manyErrors(long), Answer: answer}
	})
	p := wantProblem(t, do(handlerOf(t, a), "POST", "/long", `{}`, "Idempotency-Key: k"), 422, "rejected")
	if len(p.Detail) < 100 {
		t.Errorf("detail = %q, want the beginning of the refusal", p.Detail)
	}
}
