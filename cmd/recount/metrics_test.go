package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/projections"
)

// adminOf returns where a server's operators are served.
func adminOf(t *testing.T, p *process) string {
	t.Helper()
	return p.await(t, `"admin":"([^"]+)"`)[1]
}

// metricOf returns the value of a metric, named with its labels as in the text format, and whether
// it is there.
func metricOf(t *testing.T, admin, name string) (value float64, ok bool) {
	t.Helper()
	got := call(t, "GET", admin+"/metrics", "")
	if got.status != http.StatusOK {
		t.Fatalf("GET /metrics = %d %s", got.status, got.body)
	}
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(got.body)
	if m == nil {
		return 0, false
	}
	value, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return value, true
}

func wantMetric(t *testing.T, admin, name string, want float64) {
	t.Helper()
	if got, ok := metricOf(t, admin, name); !ok || got != want {
		t.Errorf("%s = %v, %v, want %v", name, got, ok, want)
	}
}

func TestAServerHasMetricsAndProfiles(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	server, url := startServe(t, db, "--admin", "127.0.0.1:0")
	admin := adminOf(t, server)
	placeAndRead(t, url, url, "1")
	call(t, "GET", url+"/nothing", "")
	for name, want := range map[string]float64{
		`recount_http_requests_total{method="POST",route="/v1/orders",status="2xx"}`: 1,
		`recount_http_requests_total{method="GET",route="none",status="4xx"}`:        1,
		`recount_commands_total{category="order",outcome="accepted"}`:                1,
		`recount_appends_total{outcome="appended"}`:                                  1,
		`recount_log_position`: 1,
		`recount_database_up`:  1,
	} {
		wantMetric(t, admin, name, want)
	}
	if got := call(t, "GET", admin+"/debug/pprof/goroutine?debug=1", ""); got.status != http.StatusOK || !strings.Contains(got.body, "goroutine profile") {
		t.Errorf("GET /debug/pprof/goroutine = %d %.100s", got.status, got.body)
	}
	if got := call(t, "GET", url+"/metrics", ""); got.status != http.StatusNotFound {
		t.Errorf("GET /metrics on the address of the API = %d, want 404", got.status)
	}

	// All projections are where the log is, and the API, the command line and the metrics say so.
	var page struct{ Items []projections.Status }
	until(t, "all projections are where the log is", func() bool {
		listed := call(t, "GET", url+"/v1/projections", "")
		if err := json.Unmarshal([]byte(listed.body), &page); err != nil || len(page.Items) != len(theShop().Projections())+1 {
			t.Fatalf("GET /v1/projections = %d %s (%v), want those of the shop and of snapshots", listed.status, listed.body, err)
		}
		return !slices.ContainsFunc(page.Items, func(s projections.Status) bool { return s.Position != 1 })
	})
	for _, s := range page.Items {
		label := fmt.Sprintf(`{projection=%q}`, s.Projection)
		wantMetric(t, admin, "recount_projection_position"+label, float64(s.Position))
		wantMetric(t, admin, "recount_projection_lag_events"+label, float64(s.LagEvents))
		wantMetric(t, admin, "recount_projection_position_known"+label, 1)
		wantMetric(t, admin, "recount_projection_runs_here"+label, 1)
	}
	ready := call(t, "GET", url+"/readyz?verbose", "")
	var verbose struct {
		Details struct{ Projections []projections.Status }
	}
	if err := json.Unmarshal([]byte(ready.body), &verbose); err != nil || !reflect.DeepEqual(positions(verbose.Details.Projections), positions(page.Items)) {
		t.Errorf("GET /readyz?verbose = %s (%v), want the projections as in %+v", ready.body, err, page.Items)
	}
	server.stopGently(t)
}

func positions(all []projections.Status) map[string]int64 {
	found := make(map[string]int64)
	for _, s := range all {
		found[s.Projection] = s.Position
	}
	return found
}

// TestARebuildThatRunsShowsItsProgress slows a rebuild down, looks at it on the way, and ends it.
func TestARebuildThatRunsShowsItsProgress(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	placeOrders(t, db, 2000)
	server, url := startServe(t, db, "--admin", "127.0.0.1:0")
	admin := adminOf(t, server)
	label := `{operation="rebuild",projection="orders"}`
	// It reads 1000 events at once and then waits for more time than anybody takes to look.
	begun := call(t, "POST", url+"/v1/projections/orders/rebuild", `{"throttle":5}`)
	if begun.status != http.StatusAccepted {
		t.Fatalf("POST rebuild = %d %s", begun.status, begun.body)
	}
	until(t, "the rebuild is on its way", func() bool {
		events, _ := metricOf(t, admin, "recount_operation_events"+label)
		rate, _ := metricOf(t, admin, "recount_operation_events_per_second"+label)
		left, estimated := metricOf(t, admin, "recount_operation_left_seconds"+label)
		return events > 0 && events < 2000 && rate > 0 && estimated && left > 0
	})
	wantMetric(t, admin, "recount_operation_target_position"+label, 2000)
	wantMetric(t, admin, `recount_operation_state{operation="rebuild",projection="orders",state="running"}`, 1)
	if got := call(t, "DELETE", url+begun.header.Get("Location"), ""); got.status != http.StatusOK {
		t.Fatalf("DELETE the operation = %d %s", got.status, got.body)
	}
	until(t, "the rebuild is cancelled", func() bool {
		cancelled, _ := metricOf(t, admin, `recount_operation_state{operation="rebuild",projection="orders",state="cancelled"}`)
		return cancelled == 1
	})
	server.stopGently(t)
}

func TestWhereOperatorsAreServed(t *testing.T) {
	t.Parallel()
	db := logtest.New(t)
	first, url := startServe(t, db)
	adminOf(t, first)
	second, _ := startServe(t, db)
	if a, b := adminOf(t, first), adminOf(t, second); a == b {
		t.Errorf("both servers have %s for operators", a)
	}
	taken := startProcess(t, "serve", "--database", db.DSN, "--listen", "127.0.0.1:0", "--admin", strings.TrimPrefix(url, "http://"))
	if code := taken.exit(t); code != cli.ExitConflict {
		t.Errorf("exit code %d with an address that is taken, want %d", code, cli.ExitConflict)
	}
	taken.await(t, `hint: stop it, or choose another address: --admin 127\.0\.0\.1:0`)
	off := startProcess(t, "serve", "--database", db.DSN, "--listen", "127.0.0.1:0", "--admin", "off")
	off.await(t, `"admin":""`)
	for _, p := range []*process{first, second, off} {
		p.signal(t, syscall.SIGKILL)
	}
}
