package readers

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// during reads with r, does something after the first read, and ends after another two.
func during(t *testing.T, r reader, do func()) error {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reads, read := 0, r.read
	r.read = func(ctx context.Context) (map[string]int64, error) {
		figures, err := read(ctx)
		switch reads++; reads {
		case 1:
			do()
		case 3:
			stop()
		}
		return figures, err
	}
	_, err := r.again(ctx)
	return err
}

// TestASwitchIsNoticedIfItIsWrong switches a view to another table, as a rebuild does.
func TestASwitchIsNoticedIfItIsWrong(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		become string
		noted  bool
	}{
		"to the same rows":        {`SELECT * FROM orders_g1`, false},
		"to newer rows":           {`SELECT id, recount_position + 1 AS recount_position FROM orders_g1`, false},
		"to too few rows":         {`SELECT * FROM orders_g1 WHERE id <> 'b'`, true},
		"before it has caught up": {`SELECT id, least(recount_position, 5) AS recount_position FROM orders_g1`, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := pgtest.NewEmpty(t)
			exec := func(sql string) {
				t.Helper()
				if _, err := db.Pool.Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			exec(`CREATE TABLE orders_g1 AS SELECT * FROM (VALUES ('a', 3::bigint), ('b', 7), ('c', 9)) AS r (id, recount_position)`)
			exec(`CREATE VIEW orders AS SELECT * FROM orders_g1`)
			err := during(t, overSQL(db.Pool, "public", "orders"), func() {
				exec(`CREATE TABLE orders_g2 AS ` + c.become)
				exec(`CREATE OR REPLACE VIEW orders AS SELECT * FROM orders_g2`)
			})
			if c.noted != errors.Is(err, ErrWentBack) || !c.noted && err != nil {
				t.Errorf("again = %v, want that it went back: %t", err, c.noted)
			}
		})
	}
}

// TestAFailedAnswerIsNoticed lets the server answer as a broken one would.
func TestAFailedAnswerIsNoticed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		broken http.HandlerFunc
		want   string // part of the error; "" if there is none
	}{
		"not broken": {nil, ""},
		"an error":   {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, "503"},
		"an order is gone": {func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/orders/7") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			answer(w, r)
		}, "404"},
		"older sales": {func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, `{"items":[{"id":"7","orders":1}]}`)
		}, "no version"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var broken atomic.Bool
			var reads atomic.Int64
			// What is broken ends it, if somebody notices.
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n := reads.Add(1); n == 50 {
					broken.Store(c.broken != nil)
				} else if n == 500 && c.broken == nil {
					stop()
				}
				if broken.Load() {
					c.broken(w, r)
					return
				}
				answer(w, r)
			}))
			defer server.Close()
			report, err := Watch(ctx, Config{Server: server.URL})
			if c.want == "" && (err != nil || report["GET /v1/orders/{id}"] == 0) {
				t.Errorf("Watch = %v, %v, want reads of all kinds", report, err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) && !errors.Is(err, ErrWentBack)) {
				t.Errorf("Watch = %v, want %q", err, c.want)
			}
		})
	}
}

// answer is that of a server with one order.
func answer(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("ETag", `"3"`)
	fmt.Fprint(w, `{"items":[{"id":"7","orders":2}]}`)
}
