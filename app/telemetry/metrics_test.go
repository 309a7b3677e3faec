package telemetry

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

type happened struct{ N int }

type row struct{ Sum int }

// watched returns metrics of a store with a projection, on which a rebuild has run, and one that
// was never run.
func watched(t *testing.T, db *pgtest.DB) *Metrics {
	t.Helper()
	m := New(Build{Version: "v1", Revision: "abc", Go: runtime.Version()})
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: db.Pool, ObserveAppend: m.Append, ObserveBatch: m.Batch})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	codec, err := eventstore.NewCodec(eventstore.TypeOf[happened]("Happened", 1))
	if err != nil {
		t.Fatal(err)
	}
	newFold := func(name string) *projections.Fold[string, row] {
		f := projections.NewFold[string, row](projections.Table{Name: name, Version: 1})
		projections.Upsert(f, projections.ByID, func(r *row, e happened, _ projections.Recorded) error {
			r.Sum += e.N
			return nil
		})
		return f
	}
	sums := newFold("sums")
	runner, err := projections.NewRunner(projections.Config{Pool: db.Pool, Store: store, Codec: codec}, sums)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		_, err := store.Append(t.Context(), eventstore.StreamAppend{Stream: "thing-1", Expected: eventstore.Any,
			Events: []eventstore.Event{{Type: "Happened", Data: []byte(`{"N":1}`)}}}, eventstore.AppendOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := runner.Run(t.Context(), operations.Request{Kind: projections.Rebuild, Subject: "sums"}, nil); err != nil {
		t.Fatal(err)
	}
	m.Watch(Sources{Pool: db.Pool, Store: store, Admin: projections.NewAdmin(db.Pool, "", store), Runner: runner,
		Known:         []projections.Projection{sums, newFold("unknown")},
		Subscriptions: delivery.NewAdmin(db.Pool, "", store, "things"), Deliverer: delivering(t, m, db, store, codec)})
	return m
}

// delivering returns what has delivered the three events of a log to a handler that takes the first two.
func delivering(t *testing.T, m *Metrics, db *pgtest.DB, store *pgstore.Store, codec *eventstore.Codec) *delivery.Runner {
	t.Helper()
	var ended atomic.Int64
	done := make(chan struct{})
	deliverer, err := delivery.NewRunner(delivery.Config{
		App: "things", Pool: db.Pool, Store: store, Codec: codec,
		Subscriptions: []delivery.Subscription{{
			Definition: delivery.Definition{Start: delivery.Start{At: delivery.AtBeginning}},
			Handler: delivery.Handle("told", func(_ context.Context, _ happened, at delivery.Event) error {
				if at.Position == 3 {
					return delivery.Permanent(errors.New("not this one"))
				}
				return nil
			}),
		}, {
			Definition: delivery.Definition{Name: "minutes", Paused: true,
				Target: delivery.TargetConfig{Window: &delivery.WindowTarget{Size: delivery.Duration(time.Minute), Stream: "minutes", Type: "Minute"}}},
		}},
		Observe: func(o delivery.Observation) {
			m.Delivery(o)
			if ended.Add(1) == 3 {
				close(done)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := deliverer.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := deliverer.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	<-done
	// To a target that this process has no way to: it waits.
	if _, err := delivery.NewAdmin(db.Pool, "", store, "things").Replay(t.Context(), "told", delivery.ReplayOptions{
		From: delivery.Start{At: delivery.AtBeginning}, Target: &delivery.TargetConfig{HTTP: &delivery.HTTPTarget{URL: "https://example.com/"}}, Allow: true, Reason: "test", Actor: "me",
	}); err != nil {
		t.Fatal(err)
	}
	return deliverer
}

// gather returns the values of the metrics, by name with labels as in the text format.
func gather(t *testing.T, m *Metrics) (values map[string]string, text string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("GET /metrics = %d %s", w.Code, w.Body)
	}
	values = make(map[string]string)
	for line := range strings.Lines(w.Body.String()) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "} "); ok {
			values[name+"}"] = value
		} else if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			values[name] = value
		}
	}
	return values, w.Body.String()
}

func TestMetricsOfALog(t *testing.T) {
	t.Parallel()
	m := watched(t, logtest.New(t))
	m.Request(httpapi.Observation{Method: "GET", Route: "/v1/orders/{id}", Status: 200, Duration: time.Millisecond})
	m.Request(httpapi.Observation{Method: "BREW", Status: 405})
	m.Request(httpapi.Observation{Method: "GET", Route: "/", Status: 1000})
	m.Command(commands.Observation{Category: "order", Outcome: commands.Accepted, Retries: 2, Duration: time.Second})
	m.Append(pgstore.AppendObservation{Err: fmt.Errorf("append: %w", eventstore.ErrOverloaded)})
	m.Append(pgstore.AppendObservation{Err: errors.New("strange")})
	m.Batch(pgstore.BatchObservation{Appends: 1, Events: 1, Receipts: 1, Unknown: true, Landed: true})
	m.Batch(pgstore.BatchObservation{Appends: 1, Events: 1, Unknown: true})
	m.Batch(pgstore.BatchObservation{Appends: 1, Unknown: true, Err: errors.New("gone")})
	got, text := gather(t, m)
	for name, want := range map[string]string{
		`recount_http_requests_total{method="GET",route="/v1/orders/{id}",status="2xx"}`:       "1",
		`recount_http_requests_total{method="other",route="none",status="4xx"}`:                "1",
		`recount_http_requests_total{method="GET",route="/",status="other"}`:                   "1",
		`recount_http_request_seconds_bucket{method="GET",route="/v1/orders/{id}",le="0.001"}`: "1",
		`recount_commands_total{category="order",outcome="accepted"}`:                          "1",
		`recount_command_retries_total{category="order"}`:                                      "2",
		`recount_command_seconds_sum{category="order"}`:                                        "1",
		`recount_appends_total{outcome="appended"}`:                                            "3",
		`recount_appends_total{outcome="overloaded"}`:                                          "1",
		`recount_appends_total{outcome="internal"}`:                                            "1",
		`recount_append_seconds_count`:                                                         "5",
		`recount_append_batches_total{result="written",way="fast"}`:                            "2",
		`recount_append_batches_total{result="written",way="long"}`:                            "3",
		`recount_append_batches_total{result="failed",way="long"}`:                             "1",
		`recount_append_lost_commits_total{outcome="landed"}`:                                  "1",
		`recount_append_lost_commits_total{outcome="repeated"}`:                                "1",
		`recount_append_lost_commits_total{outcome="unknown"}`:                                 "1",
		`recount_receipts_written_total`:                                                       "1",
		`recount_log_position`:                                                                 "3",
		`recount_database_up`:                                                                  "1",
		`recount_projection_position_known{projection="sums"}`:                                 "1",
		`recount_projection_position_known{projection="unknown"}`:                              "0",
		`recount_projection_position{projection="sums"}`:                                       "3",
		`recount_projection_lag_events{projection="sums"}`:                                     "0",
		`recount_projection_state{projection="sums",state="no owner"}`:                         "1",
		`recount_projection_state{projection="sums",state="running"}`:                          "0",
		`recount_projection_runs_here{projection="sums"}`:                                      "0",
		`recount_operation_state{operation="rebuild",projection="sums",state="done"}`:          "1",
		`recount_operation_state{operation="rebuild",projection="sums",state="running"}`:       "0",
		`recount_operation_events{operation="rebuild",projection="sums"}`:                      "3",
		`recount_subscription_attempts_total{outcome="done",subscription="told"}`:              "2",
		`recount_subscription_attempts_total{outcome="permanent",subscription="told"}`:         "1",
		`recount_subscription_delivered_events_total{subscription="told"}`:                     "2",
		`recount_subscription_partitions{subscription="told"}`:                                 "4",
		`recount_subscription_partitions_unowned{subscription="told"}`:                         "0",
		`recount_subscription_replay_running{subscription="told"}`:                             "1",
		`recount_subscription_replay_lag_events{subscription="told"}`:                          "3",
		`recount_subscription_replay_waiting{subscription="told"}`:                             "1",
		`recount_subscription_replay_dead{subscription="told"}`:                                "0",
		`recount_subscription_dead_oldest_seconds{subscription="told"}`:                        "0",
		`recount_delivery_seconds_count`:                                                       "2",
		`recount_delivery_member`:                                                              "1",
		`recount_build_info{go="` + runtime.Version() + `",revision="abc",version="v1"}`:       "1",
		`recount_pool_max_connections`:                                                         "4",
	} {
		if got[name] != want {
			t.Errorf("%s = %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"recount_projection_position{projection=\"unknown\"}", "go_goroutines", "process_open_fds"} {
		if _, there := got[name]; there == strings.Contains(name, "unknown") {
			t.Errorf("%s is there: %v\n%s", name, there, text)
		}
	}
}

// TestMetricsWithoutADatabase wants the metrics that need none, and that the others are not 0.
func TestMetricsWithoutADatabase(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	m := watched(t, db)
	if _, err := db.Pool.Exec(t.Context(), `DROP SCHEMA recount CASCADE`); err != nil {
		t.Fatal(err)
	}
	got, text := gather(t, m)
	if got["recount_database_up"] != "0" || got[`recount_projection_position_known{projection="sums"}`] != "0" || got["recount_pool_max_connections"] != "4" {
		t.Errorf("metrics without tables:\n%s", text)
	}
	if strings.Contains(text, "recount_projection_position{") || strings.Contains(text, "recount_projection_state{") {
		t.Errorf("there is a position or a state that nobody knows:\n%s", text)
	}
}

// TestTheCatalogueIsWhatIsServed compares both, and the rules for names.
func TestTheCatalogueIsWhatIsServed(t *testing.T) {
	t.Parallel()
	m := watched(t, logtest.New(t))
	m.Request(httpapi.Observation{Method: "GET", Route: "/", Status: 200})
	m.Command(commands.Observation{Category: "order", Outcome: commands.Accepted})
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	served := make(map[string]bool)
	for _, f := range families {
		if strings.HasPrefix(f.GetName(), "go_") || strings.HasPrefix(f.GetName(), "process_") {
			continue
		}
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, l.GetName())
		}
		served[fmt.Sprintf("%s %s %q", f.GetName(), strings.ToLower(f.GetType().String()), labels)] = true
	}
	for _, s := range catalogue {
		for _, m := range s.metrics {
			labels := slices.Sorted(slices.Values(m.labels))
			line := fmt.Sprintf("%s %s %q", m.name, m.kind, labels)
			// The rebuild here has ended, and nobody can tell when it will.
			if !served[line] && m != operationLeft {
				t.Errorf("%s is in the catalogue and not served", line)
			}
			delete(served, line)
		}
	}
	for line := range served {
		t.Errorf("%s is served and not in the catalogue", line)
	}
}

var update = flag.Bool("update", false, "write docs/metrics.md instead of comparing with it")

const docs, begin, end = "../../docs/metrics.md", "<!-- made by go test ./app/telemetry -run Docs -update -->\n\n", "<!-- end -->"

func TestDocsListTheMetrics(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", docs, begin, end)
	}
	want := head + begin + Markdown() + end + tail
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is out of date: go test ./app/telemetry -run Docs -update", docs)
	}
}
