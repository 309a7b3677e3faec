package shop_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/security"
	"github.com/57528e99/recount/security/tokens"
	"github.com/57528e99/recount/shop"
)

// guarded is the shop on a database, which asks for tokens.
func guarded(t *testing.T, db *pgtest.DB) *apptest.Test {
	t.Helper()
	forwards := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(forwards, []byte("forwards-to-us"), 0o600); err != nil {
		t.Fatal(err)
	}
	service := must[*app.Service](t)(app.Open(t.Context(), shop.App(), app.Options{
		DSN: db.DSN, Schema: db.Schema, MaxConns: 8, RequireTokens: true,
		Accept: []delivery.Grant{{Name: "a", Token: delivery.Secret{File: forwards}, Filter: json.RawMessage(`{"type":["X"]}`)}},
	}))
	atEnd(t, service.Close)
	if err := service.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return apptest.Of(t, service)
}

// tokenOf makes a token, as the header that has it.
func tokenOf(t *testing.T, x *apptest.Test, n tokens.New) (header, id string) {
	t.Helper()
	text, made, err := x.Service.Tokens.Create(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: Bearer " + text, made.ID
}

// wantUnauthenticated is how a request without a good token is answered.
func wantUnauthenticated(t *testing.T, what string, w *httptest.ResponseRecorder, detail string) {
	t.Helper()
	if w.Code != 401 || w.Header().Get("WWW-Authenticate") == "" || !strings.Contains(w.Body.String(), detail) {
		t.Errorf("%s = %d %v %s, want 401 with %q", what, w.Code, w.Header(), w.Body, detail)
	}
}

// TestEveryRouteIsForWhomItSays asks every route of the index with every kind of token that there is: whichever routes there are, they are in it.
func TestEveryRouteIsForWhomItSays(t *testing.T) {
	t.Parallel()
	x := guarded(t, logtest.New(t))
	never, _ := security.NewToken()
	expired, _ := tokenOf(t, x, tokens.New{Name: "late", Roles: []security.Action{security.Admin}, TTL: time.Millisecond})
	revoked, id := tokenOf(t, x, tokens.New{Name: "gone", Roles: []security.Action{security.Admin}})
	if _, err := x.Service.Tokens.Revoke(t.Context(), id, "me"); err != nil {
		t.Fatal(err)
	}
	refused := map[string][2]string{
		"no token":        {"", "has no token"},
		"another scheme":  {"Authorization: Basic YTpi", "not as it was handed out"},
		"a wrong letter":  {strings.Replace(expired, "rct_", "rct_a", 1), "not as it was handed out"},
		"half a token":    {expired[:40], "not as it was handed out"},
		"nobody's token":  {"Authorization: Bearer " + never, "Nobody has"},
		"an old token":    {expired, "has expired"},
		"a revoked token": {revoked, "was revoked"},
	}
	holders := make(map[security.Action]string)
	for _, role := range security.Actions() {
		holders[role], _ = tokenOf(t, x, tokens.New{Name: string(role), Roles: []security.Action{role}})
	}
	elsewhere, _ := tokenOf(t, x, tokens.New{Name: "elsewhere", Roles: security.Actions(), Scope: security.Scope{Categories: []string{"nothing"}, Prefixes: []string{"orde-"}}})
	within := make(map[string]string)
	for _, category := range shop.App().Categories() {
		within[category], _ = tokenOf(t, x, tokens.New{Name: "of " + category, Roles: security.Actions(), Scope: security.Scope{Categories: []string{category}}})
	}

	var index struct {
		Routes []struct {
			Method, Path string
			Public       bool
			Access       *httpapi.Access
		}
	}
	if err := json.Unmarshal(x.Request("GET", "/", "").Body.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]int)
	for _, r := range index.Routes {
		methods := []string{r.Method}
		if r.Method == "GET" {
			methods = append(methods, "HEAD")
		}
		path := regexp.MustCompile(`{[^}]*}`).ReplaceAllString(r.Path, "none")
		for _, method := range methods {
			// What is wrong with it keeps it from being done, and is told to nobody who may not do it.
			ask := func(header string) *httptest.ResponseRecorder {
				return x.Request(method, path+"?unknown=1", "{", header)
			}
			admitted := func(what, header string) {
				if w := ask(header); w.Code == 401 || w.Code == 403 || w.Code >= 500 || strings.Contains(w.Body.String(), `"code":"route-not-found"`) {
					t.Errorf("%s %s with %s = %d %s, want it to be let in", method, path, what, w.Code, w.Body)
				}
			}
			denied := func(what, header string) {
				if w := ask(header); w.Code != 403 || !strings.Contains(w.Body.String(), `"code":"forbidden"`) {
					t.Errorf("%s %s with %s = %d %s, want 403", method, path, what, w.Code, w.Body)
				}
			}
			switch {
			case r.Public:
				seen["public"]++
				for what, c := range refused {
					admitted(what, c[0])
				}
				continue
			case r.Access == nil:
				t.Fatalf("the index says nothing of the access to %s %s", r.Method, r.Path)
			case r.Access.Own:
				seen["own"]++
				if w := x.Request(method, path, `{"log":"6f9619ff-8b86-d011-b42d-00cf4fc964ff","events":[]}`, holders[security.Admin]); w.Code != 401 {
					t.Errorf("%s %s, which knows by itself who may = %d %s", method, path, w.Code, w.Body)
				}
				continue
			}
			for what, c := range refused {
				wantUnauthenticated(t, method+" "+path+" with "+what, ask(c[0]), c[1])
			}
			for role, header := range holders {
				if role == r.Access.Action || role == security.Admin {
					admitted("the role "+string(role), header)
				} else {
					denied("the role "+string(role), header)
				}
			}
			seen[string(r.Access.Action)]++
			category := r.Access.Category
			if r.Access.Stream != "" {
				category = eventstore.Category(r.Access.Stream)
				seen["stream"]++
			}
			for of, header := range within {
				if r.Access.Filtered || of == category {
					admitted("the category "+of, header)
				} else {
					denied("the category "+of, header)
				}
			}
			if !r.Access.Filtered {
				denied("another category", elsewhere)
			}
		}
	}
	for _, kind := range []string{"public", "own", "read", "command", "operate", "append", "stream"} {
		if seen[kind] == 0 && kind != "append" {
			t.Errorf("no route of the index is %s: %v", kind, seen)
		}
	}
	wantUnauthenticated(t, "two tokens", requestWith(x, holders[security.Read], holders[security.Admin]), "not as it was handed out")
}

// requestWith sends a request with a header twice.
func requestWith(x *apptest.Test, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/v1/projections", nil)
	for _, h := range headers {
		_, value, _ := strings.Cut(h, ": ")
		r.Header.Add("Authorization", value)
	}
	w := httptest.NewRecorder()
	x.Service.API.ServeHTTP(w, r)
	return w
}

// TestTokensInUse: who has one is named in what they do, does no more than its scope says by whichever way, and is out when it is revoked.
func TestTokensInUse(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	x, other := guarded(t, db), guarded(t, db)
	clerk, first := tokenOf(t, x, tokens.New{
		Name: "clerk", Roles: []security.Action{security.Command, security.Read}, Scope: security.Scope{Categories: []string{"order"}}, By: "boss",
	})
	order := orderJSON("o1", "ann", "Norway", "NOK", "2030-01-02T03:04:05Z", lineJSON("TEA-1", 2, 4500))
	if w := x.Request("POST", "/v1/orders", order, clerk, `Idempotency-Key: "k"`); w.Code != 201 {
		t.Fatalf("POST /v1/orders = %d %s", w.Code, w.Body)
	}
	w := x.Request("POST", "/v1/commands", `{"commands":[{"type":"order.confirm","id":"o1"},{"type":"stock.receive","id":"TEA-1","data":{"quantity":1}}]}`, clerk)
	var batch struct{ Items []struct{ Status int } }
	if err := json.Unmarshal(w.Body.Bytes(), &batch); err != nil || len(batch.Items) != 2 || batch.Items[0].Status != 200 || batch.Items[1].Status != 403 {
		t.Errorf("a batch with a command out of scope = %d %s, %v", w.Code, w.Body, err)
	}
	receive := func(header string) int {
		return x.Request("POST", "/v1/commands", `{"type":"stock.receive","id":"TEA-1","data":{"quantity":1}}`, header).Code
	}
	keeper, _ := tokenOf(t, x, tokens.New{Name: "keeper", Roles: []security.Action{security.Command, security.Read}, Scope: security.Scope{Prefixes: []string{"stock-"}}})
	waitFor(t, "a token that was made to be known", func() bool { return receive(keeper) != 401 })
	if code := receive(clerk); code != 403 {
		t.Errorf("a command out of scope = %d", code)
	}
	if code := receive(keeper); code != 200 {
		t.Errorf("a command within the scope of a prefix = %d", code)
	}
	var placed eventstore.RecordedEvent
	for e, err := range x.Service.Log.ReadStream(t.Context(), "order-o1", eventstore.ReadOptions{Limit: 1}) {
		if placed = e; err != nil {
			t.Fatal(err)
		}
	}
	if !strings.Contains(string(placed.Metadata), `"clerk"`) {
		t.Errorf("the metadata of what the clerk did are %s", placed.Metadata)
	}
	trace := fmt.Sprintf("/v1/trace/%d", placed.Position)
	if w := x.Request("GET", trace, "", clerk); w.Code != 200 {
		t.Errorf("GET %s of who may see it = %d %s", trace, w.Code, w.Body)
	}
	if w := x.Request("GET", trace, "", keeper); w.Code != 404 {
		t.Errorf("GET %s of who may not = %d %s", trace, w.Code, w.Body)
	}

	// The log over HTTP is as much of it as the scope has, for whom appends too.
	notes, _ := tokenOf(t, x, tokens.New{Name: "notes", Roles: []security.Action{security.Append, security.Read}, Scope: security.Scope{Categories: []string{"note"}}})
	waitFor(t, "the third token to be known", func() bool { return x.Request("GET", "/v1/log", "", notes).Code != 401 })
	noted := func(stream string) string { return `{"stream":"` + stream + `","events":[{"type":"Noted","data":1}]}` }
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/streams/note-1", `{"type":"Noted","data":1}`, 200},
		{"POST", "/v1/streams/notes-1", `{"type":"Noted","data":1}`, 403},
		{"POST", "/v1/append", `{"appends":[` + noted("note-2") + `,` + noted("memo-1") + `]}`, 403},
		{"POST", "/v1/streams/note-1", `{"type":"Noted","data":1,"metadata":{"actor":"boss"}}`, 403},
		{"POST", "/v1/append", `{"appends":[{"stream":"note-2","events":[{"type":"Noted","data":1,"metadata":{"actor":"boss"}}]}]}`, 403},
		{"POST", "/v1/streams/note-1", `{"type":"Noted","data":1,"metadata":{"actor":"boss","ACTOR":null}}`, 403},
		{"POST", "/v1/streams/note-1", `{"type":"Noted","data":1,"metadata":{"actor":"boss","Actor":"notes"}}`, 403},
		{"POST", "/v1/streams/note-1?dry_run=1", `{"type":"Noted","data":1,"metadata":{"x":{"actor":"boss"},"actor":"notes"}}`, 200},
		{"GET", "/v1/streams/note-1", "", 200},
		{"GET", "/v1/streams/note-2", "", 404},
		{"GET", "/v1/streams/order-o1", "", 403},
		{"GET", "/v1/streams/$audit", "", 403},
		{"GET", fmt.Sprintf("/v1/events/%d", placed.Position), "", 404},
	} {
		if w := x.Request(c.method, c.path, c.body, notes); w.Code != c.status {
			t.Errorf("%s %s %s = %d %s, want %d", c.method, c.path, c.body, w.Code, w.Body, c.status)
		}
	}
	var log struct{ Items []struct{ Stream string } }
	if w := x.Request("GET", "/v1/log", "", notes); json.Unmarshal(w.Body.Bytes(), &log) != nil || len(log.Items) != 1 || log.Items[0].Stream != "note-1" {
		t.Errorf("GET /v1/log = %d %s", w.Code, w.Body)
	}

	// A second one takes the place of the first, which ends in all processes.
	again, second := tokenOf(t, x, tokens.New{Name: "clerk"})
	if _, _, err := x.Service.Tokens.Create(t.Context(), tokens.New{Name: "clerk"}); err == nil {
		t.Error("a third live token of a name was made")
	}
	for _, at := range []*apptest.Test{x, other} {
		waitFor(t, "the second token to be known", func() bool { return at.Request("GET", "/v1/commands", "", again).Code == 200 })
	}
	if _, err := x.Service.Tokens.Revoke(t.Context(), first, "boss"); err != nil {
		t.Fatal(err)
	}
	for _, at := range []*apptest.Test{x, other} {
		waitFor(t, "the first token to be refused", func() bool { return at.Request("GET", "/v1/commands", "", clerk).Code == 401 })
		if w := at.Request("GET", "/v1/commands", "", again); w.Code != 200 {
			t.Errorf("the second token after the first was revoked = %d %s", w.Code, w.Body)
		}
	}

	all, err := other.Service.Tokens.List(t.Context())
	i := slices.IndexFunc(all, func(t tokens.Token) bool { return t.ID == second })
	if err != nil || i < 0 || all[i].LastUsedAt == nil || all[i].State != "live" || !slices.Equal(all[i].Scope.Categories, []string{"order"}) {
		t.Errorf("the tokens are %+v, %v", all, err)
	}
	// That it was refused is told of by itself, soon.
	refused := func() (all []tokens.Refusal) {
		for e, err := range x.Service.Log.ReadStream(t.Context(), tokens.AuditStream, eventstore.ReadOptions{}) {
			var r tokens.Refusal
			if err == nil && e.Type == tokens.TypeRefused && json.Unmarshal(e.Data, &r) == nil {
				all = append(all, r)
			}
		}
		return all
	}
	waitFor(t, "the audit to have refusals", func() bool {
		return slices.ContainsFunc(refused(), func(r tokens.Refusal) bool {
			return r.Principal == "clerk" && r.Reason == security.ReasonScope && r.Token == first && r.Route == "/v1/commands" && r.Resource == "stream stock-TEA-1" && r.Count > 0
		}) && slices.ContainsFunc(refused(), func(r tokens.Refusal) bool {
			return r.Principal == "" && r.Reason == security.ReasonRevoked && r.Token == first
		})
	})
	var told []string
	for e, err := range x.Service.Log.ReadStream(t.Context(), tokens.AuditStream, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		var about tokens.Audited
		if err := json.Unmarshal(e.Data, &about); err != nil {
			t.Fatal(err)
		}
		for _, header := range []string{clerk, again, keeper} {
			if _, secret, _ := strings.Cut(header, "_"); strings.Contains(string(e.Data), secret[20:40]) {
				t.Errorf("%s of the audit has a secret in it: %s", e.Type, e.Data)
			}
		}
		if e.Type != tokens.TypeRefused && about.Name == "clerk" {
			told = append(told, e.Type+" "+about.ID+" by "+about.By)
		}
	}
	if want := []string{"$TokenCreated " + first + " by boss", "$TokenCreated " + second + " by ", "$TokenRevoked " + first + " by boss"}; !slices.Equal(told, want) {
		t.Errorf("the audit says of the clerk %q, want %q", told, want)
	}
}

// waitFor waits for something that comes by itself.
func waitFor(t *testing.T, what string, is func() bool) {
	t.Helper()
	for begun := time.Now(); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begun) > 20*time.Second {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
