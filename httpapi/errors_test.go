package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
)

type ctx = context.Context

// longError blames a field at length.
type longError string

func (e longError) Error() string                            { return string(e) }
func (e longError) InvalidField() (pointer string, _ string) { return "/" + string(e), string(e) }

// manyErrors is a refusal that blames 100 fields at length.
func manyErrors(text string) error {
	var all []error
	for range 100 {
		all = append(all, longError(text))
	}
	return fmt.Errorf("all wrong: %w", errors.Join(all...))
}

type sqlError string

func (e sqlError) Error() string    { return "secret-host: relation secret_table: SQLSTATE " + string(e) }
func (e sqlError) SQLState() string { return string(e) }

func TestEveryErrorHasItsProblem(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
		retry  bool
	}{
		{&eventstore.InvalidError{Field: "stream", Reason: "must be short"}, 400, "invalid-request", false},
		{&eventstore.ConflictError{Stream: "a", Expected: eventstore.Exact(3), Actual: 4}, 409, "conflict", true},
		{&eventstore.IDReusedError{Stream: "a", Reason: "it is another"}, 409, "event-id-reused", false},
		{&eventstore.ReceiptMismatchError{Scope: "s", Key: "k"}, 422, "idempotency-key-reused", false},
		{&eventstore.StreamDeletedError{Stream: "a", Tombstoned: true}, 410, "deleted", false},
		{eventstore.ErrStreamNotFound, 404, "not-found", false},
		{eventstore.ErrInvalidToken, 400, "invalid-token", false},
		{&eventstore.LogChangedError{LastCommon: -1}, 409, "log-changed", false},
		{eventstore.ErrNotSupported, 501, "not-supported", false},
		{eventstore.ErrOverloaded, 503, "overloaded", true},
		{eventstore.ErrUnavailable, 503, "unavailable", true},
		{errors.Join(eventstore.ErrUnavailable, eventstore.ErrLogMoved), 503, "log-not-adopted", false},
		{eventstore.ErrOutcomeUnknown, 503, "outcome-unknown", true},
		{eventstore.ErrClosed, 503, "shutting-down", true},
		{eventstore.ErrCorrupt, 500, "log-damaged", false},
		{&commands.EventError{Err: &eventstore.UnknownVersionError{Type: "A", Version: 9}}, 503, "event-unreadable", true},
		{&commands.EventError{Err: fmt.Errorf("%w: secret", eventstore.ErrUndecodable)}, 409, "history-unreadable", false},
		{&commands.TruncatedError{Stream: "a", First: 3}, 409, "truncated", false},
		{queries.ErrNotFound, 404, "not-found", false},
		{queries.ErrInvalidCursor, 400, "invalid-cursor", false},
		{queries.ErrInvalidQuery, 400, "invalid-parameter", false},
		{&queries.BehindError{Projection: "p", Position: 3, Want: 5}, 503, "projection-behind", true},
		{&queries.BehindError{Projection: "p", Reason: "it has failed", Failure: "secret"}, 503, "projection-stopped", true},
		{sqlError("42P01"), 503, "database-behind", true},
		{errors.Join(eventstore.ErrUnavailable, sqlError("42703")), 503, "database-behind", true},
		{sqlError("53100"), 503, "unavailable", true},
		{sqlError("57P03"), 503, "unavailable", true},
		{sqlError("57014"), 503, "timeout", true},
		{sqlError("25006"), 503, "unavailable", true},
		{sqlError("3D000"), 503, "unavailable", true},
		{sqlError("42501"), 503, "unavailable", true},
		{sqlError("22012"), 500, "internal", false},
		{errors.Join(eventstore.ErrUnavailable, sqlError("XX000")), 503, "unavailable", true},
		{&net.OpError{Op: "dial", Err: errors.New("secret-host")}, 503, "unavailable", true},
		{io.ErrUnexpectedEOF, 503, "unavailable", true},
		{context.DeadlineExceeded, 503, "timeout", true},
		{errors.New("secret-host"), 500, "internal", false},
		{kindLocked.Problem("It is locked."), 409, "purse-locked", false},
		{errLocked, 409, "purse-locked", false},
		{&commands.RejectedError{Stream: "a", Err: errLocked}, 409, "purse-locked", false},
		{&commands.RejectedError{Stream: "a", Err: errEmpty}, 422, "rejected", false},
	} {
		t.Run(fmt.Sprintf("%T %v", c.err, c.err), func(t *testing.T) {
			a := newAPI(t, httpapi.Config{Problems: []httpapi.DomainProblem{{Err: errLocked, Kind: kindLocked}}})
			failing := func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) {
				return 0, fmt.Errorf("do the work: %w", c.err)
			}
			httpapi.Read(a, "/x", httpapi.NoParams, failing)
			resp := do(handlerOf(t, a), "GET", "/x", "")
			if got := resp.Header.Get("Retry-After") != ""; got != c.retry {
				t.Errorf("Retry-After is there: %v, want %v", got, c.retry)
			}
			p := wantProblem(t, resp, c.status, c.code)
			if strings.Contains(p.Detail, "secret") {
				t.Errorf("detail %q tells too much", p.Detail)
			}
		})
	}
}

func TestAReadModelThatCannotBeReadSaysWhy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  queries.BehindError
		want string
	}{
		{queries.BehindError{Projection: "p", Position: 3, Want: 5}, "The read model p is at position 3, and 5 is wanted."},
		{queries.BehindError{Projection: "p", Position: 3, Want: 5, Reason: "it is paused"},
			"The read model p is at position 3, and 5 is wanted: it is paused."},
		{queries.BehindError{Projection: "p", Reason: "no process has run it"}, "The read model p cannot be read: no process has run it."},
	} {
		a := newAPI(t, httpapi.Config{})
		httpapi.Read(a, "/x", httpapi.NoParams, func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) { return 0, &c.err })
		if p := readProblem(t, do(handlerOf(t, a), "GET", "/x", "")); p.Detail != c.want {
			t.Errorf("detail = %q, want %q", p.Detail, c.want)
		}
	}
}

func TestAnEventThatIsTooNewIsNamed(t *testing.T) {
	t.Parallel()
	b := newBench(t, httpapi.Config{})
	for i, c := range []struct {
		event eventstore.Event
		want  string
	}{
		{eventstore.Event{Type: "Moved", SchemaVersion: 2, Data: []byte("{}")}, `Event 0 of stream "purse-0" has the type "Moved" in schema version 2`},
		{eventstore.Event{Type: "Lent", Data: []byte("{}")}, `Event 0 of stream "purse-1" has the type "Lent" in schema version 1`},
	} {
		id := fmt.Sprint(i)
		a := eventstore.StreamAppend{Stream: "purse-" + id, Expected: eventstore.Any, Events: []eventstore.Event{c.event}}
		if _, err := b.store.Append(t.Context(), a, eventstore.AppendOptions{}); err != nil {
			t.Fatal(err)
		}
		p := wantProblem(t, do(b, "POST", "/purses/"+id+"/move", `{"amount":5}`), 503, "event-unreadable")
		if !strings.Contains(p.Detail, c.want) {
			t.Errorf("detail = %q, want %q", p.Detail, c.want)
		}
	}
}

func TestFaultIsLoggedOnceWithItsCause(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, httpapi.Config{Logger: zerolog.New(&log)})
	httpapi.Read(a, "/fault/{id}", httpapi.NoParams, func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) {
		return 0, errors.New("the cause")
	})
	httpapi.Read(a, "/panic", httpapi.NoParams, func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) {
		panic("the cause")
	})
	h := handlerOf(t, a)
	p := wantProblem(t, do(h, "GET", "/fault/7", ""), 500, "internal")
	for _, want := range []string{`"level":"error"`, `"route":"/fault/{id}"`, `"path":"/fault/7"`, `"status":500`, `"duration_ms":`, `the cause`, p.RequestID} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %s lacks %s", log.String(), want)
		}
	}
	if got := strings.Count(log.String(), "\n"); got != 1 {
		t.Errorf("log has %d lines, want 1", got)
	}
	log.Reset()
	wantProblem(t, do(h, "GET", "/panic", ""), 500, "internal")
	for _, want := range []string{"panic: the cause", `"stack":`, "errors_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log %s lacks %s", log.String(), want)
		}
	}
}

func TestClientThatHungUp(t *testing.T) {
	var log bytes.Buffer
	a := newAPI(t, httpapi.Config{Logger: zerolog.New(&log)})
	httpapi.Read(a, "/x", httpapi.NoParams, func(ctx context.Context, _ httpapi.ReadRequest[struct{}]) (int, error) {
		return 0, fmt.Errorf("read rows: %w", ctx.Err())
	})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	handlerOf(t, a).ServeHTTP(w, request("GET", "/x", "").WithContext(gone))
	wantProblem(t, w.Result(), 499, "client-closed")
	if !strings.Contains(log.String(), `"level":"info"`) {
		t.Errorf("log %s takes it for a fault", log.String())
	}
}

// explosive panics while it is encoded.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("boom") }

func TestPanicWhileEncoding(t *testing.T) {
	a := newAPI(t, httpapi.Config{})
	httpapi.Read(a, "/x", httpapi.NoParams, func(context.Context, httpapi.ReadRequest[struct{}]) (explosive, error) {
		return explosive{}, nil
	})
	wantProblem(t, do(handlerOf(t, a), "GET", "/x", ""), 500, "internal")
}

func TestEveryKindHasItsPage(t *testing.T) {
	a := newAPI(t, httpapi.Config{Problems: []httpapi.DomainProblem{{Err: errLocked, Kind: kindLocked}}})
	h := handlerOf(t, a)
	list := text(t, do(h, "GET", "/problems", ""))
	if n := len(a.Kinds()); n < 30 {
		t.Fatalf("there are %d kinds", n)
	}
	for _, k := range a.Kinds() {
		resp := do(h, "GET", "/problems/"+k.Code, "")
		page := text(t, resp)
		if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/html; charset=utf-8" {
			t.Errorf("page of %s = %d %s", k.Code, resp.StatusCode, resp.Header.Get("Content-Type"))
		}
		if !strings.Contains(page, "<code>"+k.Code+"</code>, status "+fmt.Sprint(k.Status)) || !strings.Contains(page, "What to do") {
			t.Errorf("page of %s is %s", k.Code, page)
		}
		if !strings.Contains(list, `href="/problems/`+k.Code+`"`) {
			t.Errorf("/problems does not list %s", k.Code)
		}
	}
	wantProblem(t, do(h, "GET", "/problems/nonsense", ""), 404, "not-found")
}

func TestConfigMistakes(t *testing.T) {
	for name, c := range map[string]httpapi.Config{
		"negative duration": {Timeout: -1},
		"negative body":     {MaxBody: -1},
		"long wait":         {ReadWait: 2e9, MaxReadWait: 1e9},
		"wait over timeout": {MaxReadWait: 2e9, Timeout: 1e9},
		"no error":          {Problems: []httpapi.DomainProblem{{Kind: kindLocked}}},
		"no code":           {Problems: []httpapi.DomainProblem{{Err: errLocked, Kind: httpapi.Kind{Status: 409}}}},
		"no text":           {Problems: []httpapi.DomainProblem{{Err: errLocked, Kind: httpapi.Kind{Code: "a", Status: 409}}}},
		"status of success": {Problems: []httpapi.DomainProblem{{Err: errLocked, Kind: httpapi.Kind{Code: "a", Status: 200}}}},
		"code taken": {Problems: []httpapi.DomainProblem{{Err: errLocked,
			Kind: httpapi.Kind{Code: "internal", Status: 409, Title: "t", Meaning: "m", Fix: "f"}}}},
	} {
		if _, err := httpapi.New(c); err == nil {
			t.Errorf("%s: New took it", name)
		}
	}
}

func TestRegistrationMistakes(t *testing.T) {
	a := newAPI(t, httpapi.Config{})
	read := func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) { return 0, nil }
	httpapi.Read(a, "/x", httpapi.NoParams, read)
	httpapi.Read(a, "/x", httpapi.NoParams, read)
	httpapi.Read(a, "/{x", httpapi.NoParams, read)
	run := func(context.Context, httpapi.CommandRequest[struct{}]) (commands.Result, error) {
		return commands.Result{}, nil
	}
	httpapi.Command(a, "POST", "/a/{b}/{c}", httpapi.CommandOptions{Name: "two"}, run)
	httpapi.Command(a, "POST", "/a", httpapi.CommandOptions{Name: "one"}, run)
	httpapi.Command(a, "POST", "/b", httpapi.CommandOptions{Name: "one"}, run)
	httpapi.Command(a, "POST", "/c", httpapi.CommandOptions{Internal: true}, run)
	_, err := a.Handler()
	for _, want := range []string{"GET /x is registered twice", "GET /{x: mux: unbalanced braces",
		"command two: its path /a/{b}/{c} must have one variable", "command one is registered twice", "/c: an internal one must have a Name"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Handler: %v, want %s", err, want)
		}
	}
}
