package httpapi_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/57528e99/recount/httpapi"
)

type sweepBody struct {
	Room string `json:"room"`
}

type swept struct {
	Broom string `json:"broom"`
	Room  string `json:"room"`
}

// newBroom is an API with two actions, which tell what they were asked for.
func newBroom(t *testing.T) http.Handler {
	t.Helper()
	api := newAPI(t, httpapi.Config{Problems: []httpapi.DomainProblem{{Err: errLocked, Kind: kindLocked}}})
	sweep := func(ctx context.Context, in httpapi.ActionRequest[sweepBody]) (swept, error) {
		if in.Body.Room == "locked" {
			return swept{}, errLocked
		}
		return swept{in.Path("name"), in.Body.Room}, nil
	}
	httpapi.Action(api, "POST", "/brooms/{name}/sweep", httpapi.ActionOptions[swept]{}, sweep)
	httpapi.Action(api, "POST", "/brooms/{name}/begin", httpapi.ActionOptions[swept]{
		Location: func(s swept) string { return "/jobs/" + s.Broom },
	}, sweep)
	return handlerOf(t, api)
}

func TestActionAnswersWithJSON(t *testing.T) {
	h := newBroom(t)
	resp := do(h, "POST", "/brooms/red%20one/sweep", `{"room":"hall"}`)
	if got, want := text(t, resp), `{"broom":"red one","room":"hall"}`+"\n"; resp.StatusCode != 200 || got != want {
		t.Errorf("answer = %d %q, want 200 %q", resp.StatusCode, got, want)
	}
	if resp := do(h, "POST", "/brooms/red/sweep", ""); resp.StatusCode != 200 || text(t, resp) != `{"broom":"red","room":""}`+"\n" {
		t.Errorf("without a body: %d", resp.StatusCode)
	}
}

func TestActionThatGoesOnAnswersWithLocation(t *testing.T) {
	resp := do(newBroom(t), "POST", "/brooms/red/begin", "{}")
	if got := resp.Header.Get("Location"); resp.StatusCode != 202 || got != "/jobs/red" {
		t.Errorf("answer = %d with Location %q, want 202 with /jobs/red", resp.StatusCode, got)
	}
}

func TestActionRefuses(t *testing.T) {
	h := newBroom(t)
	for _, c := range []struct {
		name, path, body string
		want             int
	}{
		{"an unknown member", "/brooms/red/sweep", `{"rom":"hall"}`, 400},
		{"two documents", "/brooms/red/sweep", `{}{}`, 400},
		{"a parameter", "/brooms/red/sweep?room=hall", `{}`, 400},
		{"a name with a control character", "/brooms/red%00/sweep", `{}`, 400},
		{"what the domain refuses", "/brooms/red/sweep", `{"room":"locked"}`, 409},
	} {
		resp := do(h, "POST", c.path, c.body)
		if got := resp.Header.Get("Content-Type"); resp.StatusCode != c.want || got != "application/problem+json" {
			t.Errorf("%s: answer = %d %s, want %d and a problem", c.name, resp.StatusCode, got, c.want)
		}
	}
}
