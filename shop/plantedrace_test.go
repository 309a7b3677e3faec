package shop_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/57528e99/recount/internal/pgtest"
	hostile "github.com/57528e99/recount/tests/hostile/shop"
)

// common is in the names of what all workers of the hostile client work on, where
// there are eight of them.
const common = "h0-16"

// wrongRaces are faults that only those see who are not alone.
func wrongRaces() []plantedFault {
	return []plantedFault{
		{"key forgotten while it is in use", forgetfulInFlight(), "neither answer is a replay"},
		{"two winners", twoWinners(), "each of which makes one version"},
		{"refusal of what was done", changed(func(r *http.Request, a *httptest.ResponseRecorder) {
			if strings.Contains(r.URL.Path, common) && strings.HasSuffix(r.URL.Path, "/receive") && a.Code == http.StatusOK {
				a.Code = http.StatusConflict
				a.Header().Set("Content-Type", "application/problem+json")
				a.Body = bytes.NewBufferString(`{"type":"/problems/stock-insufficient","title":"t","status":409,"code":"stock-insufficient",` +
					`"detail":"d","hint":"h","request_id":"` + a.Header().Get("X-Request-Id") + `"}`)
			}
		}), "judged at the end"},
		{"stale read of what others write", staleRead("/v1/stock/" + common), "judged at the end.*it was at no version"},
	}
}

// forgetfulInFlight takes no notice of a key while another request has it.
func forgetfulInFlight() func(http.Handler, http.ResponseWriter, *http.Request) {
	var mu sync.Mutex
	used := make(map[string]bool)
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		mu.Lock()
		mine := key != "" && !used[key]
		if mine {
			used[key] = true
		} else if key != "" {
			r.Header.Del("Idempotency-Key")
		}
		mu.Unlock()
		api.ServeHTTP(w, r)
		if mine {
			mu.Lock()
			defer mu.Unlock()
			delete(used, key)
		}
	}
}

// twoWinners acknowledges the second change of a thing with the answer to the
// first, without doing it.
func twoWinners() func(http.Handler, http.ResponseWriter, *http.Request) {
	var mu sync.Mutex
	won := make(map[string]*httptest.ResponseRecorder)
	thing := regexp.MustCompile(common + `[^/]+`)
	return func(api http.Handler, w http.ResponseWriter, r *http.Request) {
		name := thing.FindString(r.URL.Path)
		if name == "" || r.Method != http.MethodPost {
			api.ServeHTTP(w, r)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if first := won[name]; first != nil {
			send(w, first)
			return
		}
		a := httptest.NewRecorder()
		api.ServeHTTP(a, r)
		if a.Code == http.StatusOK {
			won[name] = a
		}
		send(w, a)
	}
}

// The keys of one process would do for one process.
func TestTheHostileClientCatchesKeysOfOneServerOnly(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	own := *db
	own.Pool = db.NewPool(t, nil)
	first := startBehind(t, db, func(api http.Handler) http.Handler { return api })
	second := startBehind(t, &own, func(api http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if key := r.Header.Get("Idempotency-Key"); strings.Contains(key, "/") { // one that is not in quotes
				r.Header.Set("Idempotency-Key", "second/"+key)
			}
			api.ServeHTTP(w, r)
		})
	})
	_, err := hostile.Run(t.Context(), hostile.Config{URL: first.URL, Second: second.URL, Requests: 2500, Workers: 8})
	if err == nil || !strings.Contains(err.Error(), "neither answer is a replay") {
		t.Errorf("the client says %v, want that neither answer is a replay", err)
	}
}
