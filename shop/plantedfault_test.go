package shop_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	hostile "github.com/57528e99/recount/tests/hostile/shop"
	"github.com/57528e99/recount/tests/hostile/wire"
)

// plantedFault is something wrong between the API and its clients.
type plantedFault struct {
	name string
	// serve answers in the place of the API.
	serve func(api http.Handler, w http.ResponseWriter, r *http.Request)
	// caught matches what the hostile client says of it; empty: nothing.
	caught string
}

func TestTheHostileClientCatchesFaults(t *testing.T) {
	t.Parallel()
	for _, f := range slices.Concat(wrongAnswers(), wrongDeeds(), wrongRaces()) {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			var told chan *wire.Failure
			var err error
			// A few requests may miss what is wrong; many would take long to judge.
			for seed := uint64(0); err == nil && (seed == 0 || f.caught != "" && seed < 4); seed++ {
				s := startBehind(t, logtest.New(t), func(api http.Handler) http.Handler {
					return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(api, w, r) })
				})
				told = make(chan *wire.Failure, 2)
				_, err = hostile.Run(t.Context(), hostile.Config{URL: s.URL, Requests: 2500, Workers: 8, Seed: seed,
					Failed: func(f *wire.Failure) { told <- f }})
			}
			if f.caught == "" {
				if err != nil {
					t.Errorf("without a fault: %v", err)
				}
				return
			}
			found := err != nil && regexp.MustCompile(f.caught).MatchString(err.Error())
			var failure *wire.Failure
			if !errors.As(err, &failure) {
				// A fault of the index is met before there are requests that could fail.
				if !found {
					t.Errorf("the client says %v, want a failure such as %s", err, f.caught)
				}
				return
			}
			// Which check meets a fault first depends on the order in which requests come through.
			if !found {
				t.Logf("found by another check than %s: %v", f.caught, err)
			}
			if !strings.HasPrefix(failure.Curl, "curl ") && !strings.HasPrefix(failure.Curl, "printf ") {
				t.Errorf("the request is shown as %q", failure.Curl)
			}
			if first := <-told; len(told) > 0 || first.Seed != failure.Seed {
				t.Errorf("told of %d failures, want only the first", 1+len(told))
			}
		})
	}
}

// changed serves an answer of the API after a change to it.
func changed(change func(r *http.Request, a *httptest.ResponseRecorder)) func(http.Handler, http.ResponseWriter, *http.Request) {
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		a := httptest.NewRecorder()
		api.ServeHTTP(a, r)
		change(r, a)
		send(w, a)
	}
}

func send(w http.ResponseWriter, a *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), a.Header())
	if a.Body.Len() > 0 {
		w.Header().Set("Content-Length", strconv.Itoa(a.Body.Len()))
	}
	w.WriteHeader(a.Code)
	_, _ = w.Write(a.Body.Bytes()) // a client that is gone needs nothing
}

// replaced serves an answer in which text is replaced.
func replaced(pattern, by string) func(http.Handler, http.ResponseWriter, *http.Request) {
	re := regexp.MustCompile(pattern)
	return changed(func(_ *http.Request, a *httptest.ResponseRecorder) {
		a.Body = bytes.NewBuffer(re.ReplaceAll(a.Body.Bytes(), []byte(by)))
	})
}

// newRoute is a line of the index.
const newRoute = `{"method":"POST","path":"/v1/new/{id}","parameters":["p"],"body":[{"name":"m","type":"array","members":[{"name":"n","type":"integer"}]}]},`

// withRoute serves a route of which the client has no model.
func withRoute(status int, body string) func(http.Handler, http.ResponseWriter, *http.Request) {
	known := replaced(`"routes":\[`, `"routes":[`+newRoute)
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || !strings.HasPrefix(r.URL.Path, "/v1/new/") {
			known(api, w, r)
			return
		}
		w.Header().Set("X-Request-Id", "1")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if w.Header().Set("Content-Type", "application/json"); status >= 400 {
			w.Header().Set("Content-Type", "application/problem+json")
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // a client that is gone needs nothing
	}
}

// wrongAnswers are faults in how answers are made.
func wrongAnswers() []plantedFault {
	return []plantedFault{
		{"none", func(api http.Handler, w http.ResponseWriter, r *http.Request) { api.ServeHTTP(w, r) }, ""},
		{"500", changed(func(r *http.Request, a *httptest.ResponseRecorder) {
			if r.Method == "GET" && strings.HasPrefix(r.URL.Path, "/v1/sales") {
				a.Code = 500
				a.Header().Set("Content-Type", "application/problem+json")
				a.Body = bytes.NewBufferString(`{"type":"/problems/internal","title":"t","status":500,"code":"internal","detail":"d","hint":"h","request_id":"` + a.Header().Get("X-Request-Id") + `"}`)
			}
		}), "a fault of the server"},
		{"panic", func(api http.Handler, w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/ship") {
				panic(http.ErrAbortHandler)
			}
			api.ServeHTTP(w, r)
		}, "there is no answer"},
		{"error in plain text", func(api http.Handler, w http.ResponseWriter, r *http.Request) {
			if r.Method == "PUT" {
				w.Header().Set("Allow", "GET")
				w.Header().Set("X-Request-Id", "1")
				w.Header().Set("Cache-Control", "no-store")
				http.Error(w, "no", http.StatusMethodNotAllowed)
				return
			}
			api.ServeHTTP(w, r)
		}, `want application/problem\+json`},
		{"problem without a hint", replaced(`"hint":"[^"]*"`, `"hint":""`), "lacks title, detail or hint"},
		{"problem of another status", replaced(`"status":404`, `"status":400`), "the problem's status is 400"},
		{"undocumented member in problems", replaced(`"hint":`, `"stack":"main.go:1","hint":`), `unknown field "stack"`},
		{"type that opens no page", changed(func(r *http.Request, a *httptest.ResponseRecorder) {
			if strings.HasPrefix(r.URL.Path, "/problems/") && a.Code == 200 {
				a.Body = bytes.NewBufferString("nothing")
			}
		}), "opens no page"},
		{"header that is no ASCII", changed(func(_ *http.Request, a *httptest.ResponseRecorder) {
			a.Header().Set("X-Echo", "\xff")
		}), "want printable ASCII"},
		{"route without a model", withRoute(200, `{}`), ""},
		{"route without a model that fails", withRoute(500, `{"type":"/problems/internal","title":"t","status":500,"code":"internal","detail":"d","hint":"h","request_id":"1"}`),
			"a fault of the server"},
		{"route that is not there", replaced(`"routes":\[`, `"routes":[`+newRoute), "the index has a route that is not there"},
		{"member that nobody thought of", replaced(`"name":"delta"`, `"name":"difference"`), "takes difference, which its generator does not send"},
	}
}

// wrongDeeds are faults in what is done and told.
func wrongDeeds() []plantedFault {
	return []plantedFault{
		{"write lost", lostWrite(), "the ETag is|the answer is of version|the answer is 200, want|the answer is 409 stock|the problem has no actual version|want .412 precondition-failed"},
		{"write done twice", func(api http.Handler, w http.ResponseWriter, r *http.Request) {
			// With a key or a precondition the second is another answer, which others notice first.
			bare := !slices.ContainsFunc([]string{"If-Match", "If-None-Match", "Idempotency-Key"}, func(h string) bool { return r.Header.Get(h) != "" })
			body, err := io.ReadAll(r.Body)
			if err == nil && strings.HasSuffix(r.URL.Path, "/receive") && bare {
				r.Body = io.NopCloser(bytes.NewReader(body))
				api.ServeHTTP(httptest.NewRecorder(), r)
			}
			r.Body = io.NopCloser(bytes.NewReader(body))
			api.ServeHTTP(w, r)
		}, "the answer is of version"},
		{"key forgotten", without("Idempotency-Key"), `neither answer is a replay|the first one was|want .422 idempotency-key-reused|\(sent again\): the answer is`},
		{"precondition forgotten", without("If-Match"), "want .412 precondition-failed"},
		{"misspelt filter taken", func(api http.Handler, w http.ResponseWriter, r *http.Request) {
			query := r.URL.Query()
			query.Del("costumer")
			r.URL.RawQuery = query.Encode()
			api.ServeHTTP(w, r)
		}, "want .400 invalid-parameter"},
		{"lost item of a list", changed(func(r *http.Request, a *httptest.ResponseRecorder) {
			if items := regexp.MustCompile(`^{"items":\[({"id":.*?"total_minor":\d+}),`); r.URL.Path == "/v1/orders" {
				a.Body = bytes.NewBuffer(items.ReplaceAll(a.Body.Bytes(), []byte(`{"items":[`)))
			}
		}), "items 0 to"},
		{"list that begins anew", func(api http.Handler, w http.ResponseWriter, r *http.Request) {
			if query := r.URL.Query(); r.URL.Path == "/v1/sales" && query.Has("after") {
				query.Del("after")
				r.URL.RawQuery = query.Encode()
			}
			api.ServeHTTP(w, r)
		}, "items |want \\[400 invalid-cursor\\]"},
		{"sum that is wrong", replaced(`"gross_minor":(\d+)`, `"gross_minor":1$1`), "the answer is"},
		{"stale read", staleRead("/v1/orders/"), "the ETag is|the answer is"},
		{"past that is the present", func(api http.Handler, w http.ResponseWriter, r *http.Request) {
			query := r.URL.Query()
			if strings.HasPrefix(query.Get("as_of"), "1") {
				query.Del("as_of")
				r.URL.RawQuery = query.Encode()
			}
			api.ServeHTTP(w, r)
		}, `"status"`},
	}
}

// without serves requests as if they had not a header.
func without(name string) func(http.Handler, http.ResponseWriter, *http.Request) {
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		r.Header.Del(name)
		api.ServeHTTP(w, r)
	}
}

// lostWrite acknowledges every second receipt of goods without doing it.
func lostWrite() func(http.Handler, http.ResponseWriter, *http.Request) {
	var mu sync.Mutex
	first := make(map[string]*httptest.ResponseRecorder)
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		plain := cmp.Or(r.Header.Get("If-Match"), r.Header.Get("If-None-Match"), r.Header.Get("Idempotency-Key")) == ""
		if !strings.HasSuffix(r.URL.Path, "/receive") || !plain {
			api.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		before := first[r.URL.Path]
		if before == nil {
			before = httptest.NewRecorder()
			api.ServeHTTP(before, r)
			if before.Code == http.StatusOK {
				first[r.URL.Path] = before
			}
			send(w, before)
			return
		}
		delete(first, r.URL.Path)
		version, err := strconv.Atoi(strings.Trim(before.Header().Get("ETag"), `"`))
		if err != nil {
			panic(err)
		}
		before.Header().Set("ETag", fmt.Sprintf(`"%d"`, version+1))
		before.Body = bytes.NewBufferString(strings.Replace(before.Body.String(),
			fmt.Sprintf(`"version":%d,`, version), fmt.Sprintf(`"version":%d,`, version+1), 1))
		send(w, before)
	}
}

// staleRead answers the second read of a thing as the first.
func staleRead(prefix string) func(http.Handler, http.ResponseWriter, *http.Request) {
	var mu sync.Mutex
	seen := make(map[string]*httptest.ResponseRecorder)
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || !strings.HasPrefix(r.URL.Path, prefix) || r.URL.Query().Has("as_of") {
			api.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		a := seen[r.URL.Path]
		mu.Unlock()
		if a == nil || a.Code != http.StatusOK {
			a = httptest.NewRecorder()
			api.ServeHTTP(a, r)
			mu.Lock()
			seen[r.URL.Path] = a
			mu.Unlock()
		}
		send(w, a)
	}
}
