package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/queries"
)

type filter struct {
	Customer, Status string
	Day              time.Time
	Limit            int
	After            string
}

func parseFilter(p *httpapi.Params) filter {
	f := filter{
		Customer: p.Text("customer"),
		Status:   p.OneOf("status", "", "open", "closed"),
		Day:      p.Day("day"),
		Limit:    p.Limit(2, 10),
		After:    p.Cursor("after"),
	}
	if f.Customer == "nobody" && f.Status != "" {
		p.Fail("status", "must not be given for nobody")
	}
	return f
}

// account is the state of a stream.
type account struct {
	ID      string `json:"id"`
	Version int64  `json:"-"`
}

func (a account) StreamVersion() int64 { return a.Version }

// reads is an API with a list, an item and a read model that is behind.
func reads(t *testing.T) http.Handler {
	t.Helper()
	a := newAPI(t, httpapi.Config{ReadWait: 1500 * time.Millisecond, MaxReadWait: 5 * time.Second})
	httpapi.Read(a, "/list", parseFilter, func(_ context.Context, in httpapi.ReadRequest[filter]) (httpapi.Page[string], error) {
		items := []string{"a<b", "c&d", "e"}
		if in.Params.Customer == "none" {
			return httpapi.Page[string]{}, nil
		}
		from := 0
		if in.Params.After != "" {
			from = slices.Index(items, in.Params.After) + 1
		}
		page := items[from:min(from+in.Params.Limit, len(items))]
		next := ""
		if from+len(page) < len(items) {
			next = page[len(page)-1]
		}
		return httpapi.Page[string]{Items: page, Next: httpapi.Cursor(next)}, nil
	})
	httpapi.Read(a, "/items/{id}", httpapi.NoParams, func(_ context.Context, in httpapi.ReadRequest[struct{}]) (account, error) {
		return account{in.Path("id"), 7}, nil
	})
	httpapi.Read(a, "/wait", httpapi.NoParams, func(_ context.Context, in httpapi.ReadRequest[struct{}]) (string, error) {
		return fmt.Sprintf("%d %v", in.Token.Position, in.Wait), nil
	})
	httpapi.Read(a, "/behind", httpapi.NoParams, func(_ context.Context, in httpapi.ReadRequest[struct{}]) (string, error) {
		if !in.Token.IsZero() {
			return "", &queries.BehindError{Projection: "p", Position: 3, Want: in.Token.Position}
		}
		return "stale", nil
	})
	return handlerOf(t, a)
}

func TestPages(t *testing.T) {
	h := reads(t)
	resp := do(h, "GET", "/list?limit=2&customer=x%20y", "")
	if got, want := text(t, resp), `{"items":["a<b","c&d"],"next":"c&d"}`+"\n"; got != want {
		t.Errorf("first page = %q, want %q", got, want)
	}
	link := resp.Header.Get("Link")
	if want := `</list?after=c%26d&customer=x+y&limit=2>; rel="next"`; link != want {
		t.Fatalf("Link = %s, want %s", link, want)
	}
	resp = do(h, "GET", strings.Trim(strings.Split(link, ";")[0], "<>"), "")
	if got, want := text(t, resp), `{"items":["e"],"next":null}`+"\n"; got != want || resp.Header.Get("Link") != "" {
		t.Errorf("last page = %q with Link %q, want %q without", got, resp.Header.Get("Link"), want)
	}
	if got, want := text(t, do(h, "GET", "/list?customer=none", "")), `{"items":[],"next":null}`+"\n"; got != want {
		t.Errorf("empty page = %q, want %q", got, want)
	}
}

func TestQueryParameters(t *testing.T) {
	h := reads(t)
	for _, query := range []string{"", "status=open&day=2011-12-09&limit=10", "customer=%C3%A9", "consistency=" + token(4), "after=" + long(4096)} {
		if resp := do(h, "GET", "/list?"+query, ""); resp.StatusCode != 200 {
			t.Errorf("%s: %s", query, text(t, resp))
		}
	}
	for query, want := range map[string]string{
		"limit=0":                        "limit: must be a whole number from 1 to 10",
		"limit=11":                       "limit: must be a whole number from 1 to 10",
		"limit=1e1":                      "limit: must be a whole number",
		"limit=":                         "limit: must be a whole number",
		"limit=99999999999999999999":     "limit: must be a whole number",
		"limit=1&limit=1":                "limit: must be given once",
		"status=new":                     "status: must be one of open, closed",
		"customer=":                      "customer: must not be empty",
		"customer=a%00":                  "customer: must not have control characters",
		"customer=%FF":                   "customer: must be valid UTF-8",
		"customer=" + long(600):          "customer: must have at most 512 bytes",
		"after=" + long(4097):            "after: must have at most 4096 bytes",
		"day=2011-02-30":                 "day: must be a day, e.g. 2011-12-09",
		"day=0000-01-01":                 "day: must be a day",
		"day=0001-01-01":                 "day: must be a day", // the zero time is no filter
		"stauts=open":                    "stauts: is not known here; known are customer, status, day, limit, after, consistency",
		"customer=nobody&status=open":    "status: must not be given for nobody",
		"consistency=" + long(600):       "consistency: must have at most",
		"consistency=x&consistency=x":    "consistency: must be given once",
		"status=%F0%28%8C%28&customer=b": "status: must be one of",
	} {
		p := wantProblem(t, do(h, "GET", "/list?"+query, ""), 400, "invalid-parameter")
		if len(p.Errors) != 1 || !strings.HasPrefix(p.Errors[0].Parameter+": "+p.Errors[0].Detail, want) {
			t.Errorf("%.40s: errors = %+v, want %s", query, p.Errors, want)
		}
	}
	wantProblem(t, do(h, "GET", "/list?customer=%zz", ""), 400, "invalid-parameter")
	wantProblem(t, do(h, "GET", "/list?a;b", ""), 400, "invalid-parameter")
	if p := wantProblem(t, do(h, "GET", "/list?=1", ""), 400, "invalid-parameter"); len(p.Errors) != 0 || !strings.Contains(p.Detail, "without a name") {
		t.Errorf("a parameter without a name: %q, errors = %+v; there is no name to put there", p.Detail, p.Errors)
	}
	if p := wantProblem(t, do(h, "GET", "/wait?x=1", ""), 400, "invalid-parameter"); !strings.Contains(p.Errors[0].Detail, "known are consistency") {
		t.Errorf("errors = %+v", p.Errors)
	}
}

func token(position int64) string {
	return eventstore.Token{Log: uuid.UUID{1}, Position: position}.String()
}

func long(n int) string { return strings.Repeat("x", n) }

func TestConsistencyToken(t *testing.T) {
	h := reads(t)
	for _, c := range []struct {
		target        string
		headers       []string
		want, applied string
	}{
		{"/wait", nil, "0 1.5s", ""},
		{"/wait", []string{"Prefer: wait=2"}, "0 1.5s", ""},
		{"/wait", []string{"Consistency-Token: " + token(4)}, "4 1.5s", ""},
		{"/wait?consistency=" + token(4), nil, "4 1.5s", ""},
		{"/wait?consistency=" + token(4), []string{"Consistency-Token: " + token(4), "Prefer: wait=2"}, "4 2s", "wait=2"},
		{"/wait", []string{"Consistency-Token: " + token(4), "Prefer: wait=0"}, "4 0s", "wait=0"},
		{"/wait", []string{"Consistency-Token: " + token(4), "Prefer: wait=2000000000"}, "4 5s", "wait=5"},
		{"/wait", []string{"Consistency-Token: " + token(4), "Prefer: handling=lenient, wait=3"}, "4 3s", "wait=3"},
		{"/behind", []string{"Consistency-Token: " + token(4), "Prefer: handling=lenient, wait=3"}, "stale", "wait=3, handling=lenient"},
	} {
		resp := do(h, "GET", c.target, "", c.headers...)
		if got := text(t, resp); got != `"`+c.want+"\"\n" || resp.Header.Get("Preference-Applied") != c.applied {
			t.Errorf("GET %s %q = %s with Preference-Applied %q, want %q with %q",
				c.target, c.headers, got, resp.Header.Get("Preference-Applied"), c.want, c.applied)
		}
	}
	wantProblem(t, do(h, "GET", "/behind", "", "Consistency-Token: "+token(4)), 503, "projection-behind")
	wantProblem(t, do(h, "GET", "/wait", "", "Consistency-Token: nonsense"), 400, "invalid-token")
	wantProblem(t, do(h, "GET", "/wait?consistency=nonsense", ""), 400, "invalid-token")
	wantProblem(t, do(h, "GET", "/wait?consistency="+token(4), "", "Consistency-Token: "+token(5)), 400, "invalid-header")
	wantProblem(t, do(h, "GET", "/wait", "", "Consistency-Token: "+token(4), "Consistency-Token: "+token(4)), 400, "invalid-header")
}

func TestEntityTags(t *testing.T) {
	h := reads(t)
	resp := do(h, "GET", "/items/a%2Fb", "")
	if got, want := text(t, resp), `{"id":"a/b"}`+"\n"; got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
	if got := resp.Header.Get("ETag"); got != `"7"` {
		t.Errorf("ETag of a versioned answer = %s, want \"7\"", got)
	}
	weak := do(h, "GET", "/list", "").Header.Get("ETag")
	if !strings.HasPrefix(weak, `W/"`) {
		t.Errorf("ETag of a list = %s, want a weak one", weak)
	}
	for _, c := range []struct {
		target, header string
		status         int
	}{
		{"/items/a", `"7"`, 304},
		{"/items/a", `W/"7"`, 304},
		{"/items/a", `"6", "7"`, 304},
		{"/items/a", `*`, 304},
		{"/items/a", `"6"`, 200},
		{"/items/a", `7`, 200},
		{"/list", weak, 304},
		{"/list?limit=1", weak, 200},
	} {
		resp := do(h, "GET", c.target, "", "If-None-Match: "+c.header)
		if resp.StatusCode != c.status || (text(t, resp) == "") != (c.status == 304) {
			t.Errorf("GET %s with %s = %d, want %d", c.target, c.header, resp.StatusCode, c.status)
		}
	}
}

func TestRouting(t *testing.T) {
	h := reads(t)
	wantProblem(t, do(h, "GET", "/lists", ""), 404, "route-not-found")
	wantProblem(t, do(h, "GET", "/items/", ""), 404, "route-not-found")
	wantProblem(t, do(h, "GET", "//list", ""), 404, "route-not-found")
	wantProblem(t, do(h, "GET", "/items/../list", ""), 404, "route-not-found")
	wantProblem(t, do(h, "GET", "/items/a%00", ""), 400, "invalid-path")
	wantProblem(t, do(h, "GET", "/items/%FF", ""), 400, "invalid-path")
	wantProblem(t, do(h, "GET", "/items/"+long(600), ""), 400, "invalid-path")
	resp := do(h, "POST", "/list", "{}")
	if got := resp.Header.Get("Allow"); got != "GET, HEAD" {
		t.Errorf("Allow = %q, want GET, HEAD", got)
	}
	wantProblem(t, resp, 405, "method-not-allowed")
	wantProblem(t, do(h, "BREW", "/list", ""), 405, "method-not-allowed")
	if got := text(t, do(h, "GET", "/", "")); !strings.Contains(got, `{"method":"GET","path":"/items/{id}","access":{"action":"read"},"parameters":["consistency"]}`) {
		t.Errorf("index = %s", got)
	}
	resp = do(h, "HEAD", "/items/a", "")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Length") != "11" || resp.Header.Get("ETag") != `"7"` {
		t.Errorf("HEAD = %d %v", resp.StatusCode, resp.Header)
	}
}

func TestRequestID(t *testing.T) {
	h := reads(t)
	if got := do(h, "GET", "/list", "", "X-Request-Id: a.b-C:1").Header.Get("X-Request-Id"); got != "a.b-C:1" {
		t.Errorf("X-Request-Id = %q, want the client's", got)
	}
	for _, id := range []string{"", "a b", "é", long(129)} {
		got := do(h, "GET", "/list", "", "X-Request-Id: "+id).Header.Get("X-Request-Id")
		if _, err := uuid.Parse(got); err != nil {
			t.Errorf("X-Request-Id = %q for %q, want a new one", got, id)
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	b := newBench(t, httpapi.Config{})
	p := wantProblem(t, do(b, "POST", "/purses/a/touch", "", "Sec-Fetch-Site: cross-site"), 403, "cross-origin")
	if p.Instance != "/purses/a/touch" {
		t.Errorf("instance = %q", p.Instance)
	}
	wantProblem(t, do(b, "POST", "/purses/a/touch", "", "Origin: https://elsewhere.example"), 403, "cross-origin")
	if resp := do(b, "POST", "/purses/a/touch", "", "Sec-Fetch-Site: same-origin"); resp.StatusCode != 200 {
		t.Errorf("a page of this server is refused: %s", text(t, resp))
	}
}
