package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
)

// TestEveryRequestIsOfAnActor, whichever routes there are, but those that anybody may use.
func TestEveryRequestIsOfAnActor(t *testing.T) {
	t.Parallel()
	type row struct{ Balance int64 }
	m, balances := purses(), projections.NewFold[string, row](projections.Table{Name: "balances", Version: 1})
	projections.Upsert(balances, projections.ByID, func(r *row, e filled, _ projections.Recorded) error { r.Balance += e.Amount; return nil })
	m.Projections = []projections.Projection{balances}
	m.Reads = []app.Read{app.Row("/v1/purses/{id}", balances), app.List("/v1/purses", balances, app.ListOptions{})}
	type self struct{ Actor, Word string }
	var read, action self
	m.Routes = func(_ *app.Service, api *httpapi.API) {
		httpapi.Read(api, "/v1/self", httpapi.NoParams, func(_ context.Context, in httpapi.ReadRequest[struct{}]) (self, error) {
			read = self{in.Actor, in.Header.Get("Word")}
			return read, nil
		})
		httpapi.Action(api, "POST", "/v1/self", httpapi.ActionOptions[self]{}, func(_ context.Context, in httpapi.ActionRequest[struct{}]) (self, error) {
			action = self{in.Actor, in.Header.Get("Word")}
			return action, nil
		})
	}
	asked := 0
	x := apptest.Postgres(t, app.App{Name: "wallet", Modules: []app.Module{m}, ActorHeader: "Name", Actor: func(r *http.Request) (string, error) {
		asked++
		if name := r.Header.Get("Name"); name != "" {
			return name, nil
		}
		return "", errors.New("the secret is wrong")
	}})
	var index struct {
		Routes []struct{ Method, Path string }
	}
	var document struct {
		Security []map[string][]string
		Paths    map[string]map[string]struct {
			Security  *[]map[string][]string
			Responses map[string]struct{ Description string }
		}
		Components struct {
			SecuritySchemes map[string]struct{ Type, In, Name string }
		}
	}
	for path, into := range map[string]any{"/": &index, "/openapi.json": &document} {
		if err := json.Unmarshal(x.Request("GET", path, "").Body.Bytes(), into); err != nil {
			t.Fatal(err)
		}
	}
	public := []string{"/", "/livez", "/readyz", "/problems", "/problems/{code}", "/openapi.json", "/docs", "/schemas/{event}/{version}"}
	seen := 0
	for _, r := range index.Routes {
		isPublic := slices.Contains(public, r.Path)
		if isPublic {
			seen++
		}
		methods := []string{r.Method}
		if r.Method == "GET" {
			methods = append(methods, "HEAD")
		}
		path := regexp.MustCompile(`{[^}]*}`).ReplaceAllString(r.Path, "none")
		for _, method := range methods {
			// Not even what is wrong with a request is told to somebody who is not known.
			asked = 0
			w := x.Request(method, path+"?unknown=1", "{")
			if (w.Code == http.StatusUnauthorized) == isPublic || (asked == 0) != isPublic || strings.Contains(w.Body.String(), "the secret is wrong") {
				t.Errorf("%s %s of nobody = %d %s, the actor was asked for %d times", method, path, w.Code, w.Body, asked)
			}
			asked = 0
			w = x.Request(method, path, "", "Name: ann")
			if w.Code == http.StatusUnauthorized || asked > 1 || (asked == 0) != isPublic {
				t.Errorf("%s %s of ann = %d %s, the actor was asked for %d times", method, path, w.Code, w.Body, asked)
			}
		}
		operation := document.Paths[r.Path][strings.ToLower(r.Method)]
		documented := operation.Responses["401"].Description
		if (documented == "unauthenticated") == isPublic || (operation.Security != nil && len(*operation.Security) == 0) != isPublic {
			t.Errorf("the document says of %s %s and 401: %q, it demands %v", r.Method, r.Path, documented, operation.Security)
		}
	}
	if scheme := document.Components.SecuritySchemes["actor"]; len(document.Security) != 1 || document.Security[0]["actor"] == nil || scheme.Name != "Name" || scheme.In != "header" {
		t.Errorf("the document demands %v by %+v, want the header Name", document.Security, scheme)
	}
	if seen != len(public) || len(index.Routes) < len(public)+10 {
		t.Errorf("the index has %d of %d public routes, and %d in all", seen, len(public), len(index.Routes))
	}

	for _, method := range []string{"GET", "POST"} {
		x.Request(method, "/v1/self", "", "Name: ann", "Word: hello")
	}
	if want := (self{"ann", "hello"}); read != want || action != want {
		t.Errorf("a read was told %+v, an action %+v, want %+v", read, action, want)
	}
	if w := x.Request("POST", "/v1/projections/balances/verify", "", "Name: ann"); w.Code != 202 || !strings.Contains(w.Body.String(), `"requested_by":"ann"`) {
		t.Errorf("an operation that ann asked for = %d %s", w.Code, w.Body)
	}

	// Who is ready anybody may know, how it gets on only who is known; what is in definitions neither.
	put := x.Request("PUT", "/v1/subscriptions/partner", `{"filter":{"category":["purse"]},"target":{"http":{"url":"https://partner.example/"}}}`, "Name: ann")
	if put.Code != 200 && put.Code != 201 {
		t.Fatalf("PUT a subscription = %d %s", put.Code, put.Body)
	}
	for name, knows := range map[string]bool{"": false, "ann": true} {
		w := x.Request("GET", "/readyz?verbose", "", "Name: "+name)
		if got := w.Body.String(); w.Code != 200 || !strings.Contains(got, `"name":"database","ok":true`) || strings.Contains(got, `"partner"`) != knows || strings.Contains(got, "partner.example") {
			t.Errorf("GET /readyz?verbose of %q = %d %s", name, w.Code, got)
		}
	}
}
