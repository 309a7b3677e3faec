package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/security"
)

// TestRoutesDeclareTheirAccess: an API of which one says not what it does, or what about, is not served.
func TestRoutesDeclareTheirAccess(t *testing.T) {
	t.Parallel()
	read := func(context.Context, httpapi.ReadRequest[struct{}]) (int, error) { return 0, nil }
	for want, access := range map[string]httpapi.Access{
		"":                         {Stream: "order-{id}-{part}"},
		"it has \"dance\"":         {Action: "dance"},
		"more than one of":         {Stream: "order-{id}", Filtered: true},
		"must have variables of":   {Stream: "order-{ip}"},
		"more than one of Stream,": {Category: "order", Filtered: true},
	} {
		a := newAPI(t, httpapi.Config{})
		httpapi.Read(a, "/v1/{id}/{part}", httpapi.NoParams, read)
		a.Access(access)
		if _, err := a.Handler(); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("Handler with %+v = %v, want %q", access, err, want)
		}
	}
	if _, err := httpapi.New(httpapi.Config{
		Actor: func(*http.Request) (string, error) { return "", nil }, Authenticate: func(*http.Request) (security.Principal, error) { return security.Principal{}, nil },
	}); err == nil {
		t.Error("an API finds out in two ways who sends a request")
	}
}

// TestAuthorizerDecides, whichever it is, by what the path says; a fault of who knows the senders is none of theirs; and each refusal is told.
func TestAuthorizerDecides(t *testing.T) {
	t.Parallel()
	var asked []security.Resource
	var told []httpapi.Refusal
	var fault error
	a := newAPI(t, httpapi.Config{
		Authenticate: func(*http.Request) (security.Principal, error) {
			return security.Principal{Name: "ann", Token: "t"}, fault
		},
		Authorizer: decide(func(p security.Principal, action security.Action, r security.Resource) error {
			if asked = append(asked, r); r.Stream == "order-a/b" {
				return nil
			}
			return &security.Denied{Principal: p, Action: action, Resource: r, Reason: security.ReasonScope}
		}),
		Refused: func(r httpapi.Refusal) { told = append(told, r) },
	})
	httpapi.Read(a, "/v1/orders/{id}", httpapi.NoParams, func(_ context.Context, in httpapi.ReadRequest[struct{}]) (string, error) {
		return in.Actor, in.Caller.May(security.Append, security.Resource{Stream: "order-" + in.Path("id")})
	})
	a.Access(httpapi.Access{Stream: "order-{id}"})
	h := handlerOf(t, a)
	if got := text(t, do(h, "GET", "/v1/orders/a%2Fb", "")); got != "\"ann\"\n" {
		t.Errorf("the answer is %s", got)
	}
	wantProblem(t, do(h, "GET", "/v1/orders/c", ""), 403, "forbidden")
	wantProblem(t, do(h, "GET", "/v1/orders/%FF", ""), 400, "invalid-path")
	if len(asked) != 3 || asked[0].Stream != "order-a/b" || asked[2].Stream != "order-c" {
		t.Errorf("it was asked for %+v", asked)
	}
	if want := (httpapi.Refusal{Principal: "ann", Token: "t", Action: security.Read, Resource: "stream order-c", Reason: security.ReasonScope, Method: "GET", Route: "/v1/orders/{id}"}); len(told) != 1 || told[0] != want {
		t.Errorf("the refusals told of are %+v, want %+v", told, want)
	}
	fault = errors.New("the database has a password of x")
	if p := wantProblem(t, do(h, "GET", "/v1/orders/c", ""), 500, "internal"); strings.Contains(p.Detail, "password") {
		t.Errorf("the detail is %s", p.Detail)
	}
	fault = fmt.Errorf("read the tokens: %w", context.DeadlineExceeded)
	wantProblem(t, do(h, "GET", "/v1/orders/c", ""), 503, "unavailable")
	fault = &security.Unauthenticated{Reason: security.ReasonExpired}
	if resp := do(h, "GET", "/v1/orders/c", ""); resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") != `Bearer error="invalid_token"` || len(told) != 2 {
		t.Errorf("the answer is %d %v, refusals %+v", resp.StatusCode, resp.Header, told)
	}
	if resp := do(h, "GET", "/readyz?verbose", ""); resp.StatusCode != 200 || len(told) != 2 {
		t.Errorf("whether it is ready, of nobody: %d, refusals %+v", resp.StatusCode, told)
	}
}

type decide func(security.Principal, security.Action, security.Resource) error

// Authorize implements security.Authorizer.
func (d decide) Authorize(p security.Principal, a security.Action, r security.Resource) error {
	return d(p, a, r)
}

// TestCommandsAreForWhomTheirRouteSays, by whichever way they come, and are listed for.
func TestCommandsAreForWhomTheirRouteSays(t *testing.T) {
	t.Parallel()
	p := security.Principal{Name: "ann", Roles: []security.Action{security.Command}}
	config := httpapi.Config{Authenticate: func(*http.Request) (security.Principal, error) { return p, nil }}
	a := newAPI(t, config)
	command := func(a *httpapi.API, o httpapi.CommandOptions) {
		httpapi.Command(a, "POST", "/v1/x/{id}/"+o.Name, o, func(context.Context, httpapi.CommandRequest[struct{}]) (commands.Result, error) {
			return commands.Result{}, nil
		})
	}
	httpapi.Commands(a)
	command(a, httpapi.CommandOptions{Name: "wipe", Category: "x"})
	a.Access(httpapi.Access{Action: security.Admin})
	command(a, httpapi.CommandOptions{Name: "stir", Category: "x"})
	h := handlerOf(t, a)
	wantProblem(t, do(h, "POST", "/v1/x/1/wipe", ""), 403, "forbidden")
	wantProblem(t, do(h, "POST", "/v1/commands", `{"type":"wipe","id":"1"}`), 403, "forbidden")
	if resp := do(h, "POST", "/v1/commands", `{"type":"stir","id":"1"}`); resp.StatusCode != 200 {
		t.Errorf("the command that it may run is answered with %d", resp.StatusCode)
	}
	if got := text(t, do(h, "GET", "/v1/commands", "")); strings.Contains(got, "wipe") || !strings.Contains(got, "stir") {
		t.Errorf("the commands are %s", got)
	}
	a = newAPI(t, config)
	command(a, httpapi.CommandOptions{Name: "stir"})
	command(a, httpapi.CommandOptions{Name: "clean", Internal: true})
	a.Access(httpapi.Access{Action: security.Admin})
	if _, err := a.Handler(); err == nil || !strings.Contains(err.Error(), "the internal command clean") {
		t.Errorf("Handler = %v", err)
	}
}
