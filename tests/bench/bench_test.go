package bench

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/tests/machine"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const moment = 20 * time.Millisecond

// tiny measures b for as short as can be, and checks what does not depend on how fast anything is.
func tiny(t *testing.T, b Benchmark) Report {
	t.Helper()
	db := pgtest.NewEmpty(t)
	r, err := Run(t.Context(), Options{Database: db.DSN, Version: "v1", Command: "recount bench"}, b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Bench != b.Name() || r.Machine.Recount != "v1" || r.Machine.Command != "recount bench" || r.Machine.Postgres == "" || r.Machine.Settings["fsync"] == "" {
		t.Errorf("the report is of %q on %+v", r.Bench, r.Machine)
	}
	for _, res := range r.Results {
		if res.Idle != nil {
			continue
		}
		if res.EventsPerSecond <= 0 || res.Events <= 0 || res.P50 <= 0 || res.P99 < res.P50 || res.Max < res.P99 || len(res.Rounds) == 0 {
			t.Errorf("result %+v is not whole", res)
		}
	}
	var left []string
	rows, err := db.Pool.Query(t.Context(), `SELECT nspname FROM pg_namespace WHERE nspname LIKE 'recount%'`)
	if err == nil {
		left, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil || len(left) > 0 {
		t.Errorf("schemas left behind: %v, %v", left, err)
	}
	return r
}

func names(r Report) (list []string) {
	for _, res := range r.Results {
		list = append(list, res.Name)
	}
	return list
}

func TestAppend(t *testing.T) {
	t.Parallel()
	for _, streams := range []string{StreamsNew, StreamsExisting, StreamsHot} {
		for _, batch := range []int{1, 3} {
			t.Run(streams, func(t *testing.T) {
				t.Parallel()
				r := tiny(t, Append{Callers: []int{3}, Duration: moment, Batch: batch, Streams: streams, Snapshot: batch == 3})
				if got := names(r); !slices.Equal(got, appendNames) {
					t.Errorf("contenders are %v, want %v", got, appendNames)
				}
				for _, res := range r.Results {
					if res.Events != res.Calls*int64(batch) {
						t.Errorf("%s: %d calls with %d events, want %d each", res.Name, res.Calls, res.Events, batch)
					}
				}
				want := []string{"recount/copy@3", "recount/counter-row@3", "recount/insert@3", "recount/unordered@3"}
				if got := ratiosOf(r, "recount/"); !slices.Equal(got, want) {
					t.Errorf("ratios are %v, want %v", got, want)
				}
				if got := len(ratiosOf(r, "last round/first")); (batch == 3) != (got == len(appendNames)) {
					t.Errorf("there are %d ratios of rounds with a snapshot held: %t", got, batch == 3)
				}
			})
		}
	}
}

func ratiosOf(r Report, prefix string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(r.Ratios)), func(name string) bool { return !strings.HasPrefix(name, prefix) })
}

// What baselines write must be events that the log would have written: with the same constraints,
// at positions without doubles, each stream without gaps.
func TestBaselinesWriteWholeStreams(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	env := &Env{dsn: db.DSN}
	for _, streams := range []string{StreamsNew, StreamsExisting} {
		for _, batch := range []int{1, 3} {
			a := Append{Callers: []int{4}, Duration: moment, Batch: batch, Streams: streams}
			err := env.with(t.Context(), 4, func(s *scratch) error {
				if _, err := a.measure(t.Context(), env, s, 4); err != nil {
					return err
				}
				for _, table := range []string{"events", "base_counter-row", "base_unordered", "base_insert", "base_copy"} {
					var gaps, behind int
					err := s.pool.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE n <> last + 1), count(*) FILTER (WHERE first <> 0) FROM (
						SELECT count(*) AS n, max(version) AS last, min(version) AS first FROM `+pgsql.Name(table)+` GROUP BY stream_id) AS s`).Scan(&gaps, &behind)
					if err != nil || gaps != 0 || behind != 0 {
						t.Errorf("%s, %d events an append to %s streams: %d streams have gaps, %d do not begin with 0 (%v)", table, batch, streams, gaps, behind, err)
					}
				}
				for _, table := range []string{"events", "base_counter-row"} {
					var n, last int64
					err := s.pool.QueryRow(t.Context(), `SELECT count(*), max(position) FROM `+pgsql.Name(table)).Scan(&n, &last)
					if err != nil || n != last {
						t.Errorf("%s has %d events up to position %d (%v)", table, n, last, err)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	r := tiny(t, Read{Callers: []int{1, 2}, Duration: moment, Events: 2500})
	if want := []string{nameRecount, nameSelect, nameRecount, nameSelect}; !slices.Equal(names(r), want) {
		t.Errorf("contenders are %v, want %v", names(r), want)
	}
	for _, res := range r.Results {
		if res.Events != res.Calls*2500 {
			t.Errorf("%s read %d events in %d calls, want 2500 each", res.Name, res.Events, res.Calls)
		}
		if (res.Name == nameRecount) != (res.PeakHeapMB > 0) {
			t.Errorf("%s: peak of the heap is %g", res.Name, res.PeakHeapMB)
		}
	}
	if want := []string{"recount/select@1", "recount/select@2"}; !slices.Equal(ratiosOf(r, ""), want) {
		t.Errorf("ratios are %v, want %v", r.Ratios, want)
	}
}

func TestLoad(t *testing.T) {
	t.Parallel()
	r := tiny(t, Load{Callers: []int{2}, Duration: moment, Events: 7})
	for _, res := range r.Results {
		if res.Events != res.Calls*7 {
			t.Errorf("%s loaded %d events in %d calls, want 7 each", res.Name, res.Events, res.Calls)
		}
	}
	if want := []string{"p50 recount/select@2", "recount/select@2"}; !slices.Equal(ratiosOf(r, ""), want) {
		t.Errorf("ratios are %v, want %v", r.Ratios, want)
	}
}

func TestProject(t *testing.T) {
	t.Parallel()
	r := tiny(t, Project{Rate: 2000, ShopRate: 500, Duration: 10 * moment, Events: 1000})
	want := []string{nameLiveFold, nameLiveShop, nameElsewhere, nameCatchUp, nameLoop}
	if !slices.Equal(names(r), want) {
		t.Errorf("contenders are %v, want %v", names(r), want)
	}
	for i, want := range []int64{400, 100, 200, 1000} {
		if got := r.Results[i].Events; got != want {
			t.Errorf("%s: %d events, want %d", r.Results[i].Name, got, want)
		}
	}
	ratios := []string{"catch up/loop@1", "elsewhere/wanted@64", "live fold/wanted@64", "live shop/wanted@64"}
	if !slices.Equal(ratiosOf(r, ""), ratios) {
		t.Errorf("ratios are %v, want %v", r.Ratios, ratios)
	}
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	r := tiny(t, Rebuild{Events: 1000, ShopEvents: 200, Duration: moment, MemoryMiB: 1})
	want := []string{nameRebuild, nameLoop, "orders", "stock_levels", "customer_history", "sales_by_country", "sales_by_sku", nameTogether}
	if !slices.Equal(names(r), want) {
		t.Errorf("contenders are %v, want %v", names(r), want)
	}
	for i, res := range r.Results {
		wantEvents := int64(200)
		if i == 0 {
			wantEvents = 1000
		}
		if res.Name != nameLoop && res.Events != res.Calls*wantEvents {
			t.Errorf("%s: %d events in %d calls, want %d each", res.Name, res.Events, res.Calls, wantEvents)
		}
		if (res.Name == nameLoop) != (res.PeakMemoryMB == 0) {
			t.Errorf("%s: peak of the memory is %g", res.Name, res.PeakMemoryMB)
		}
	}
	if want := []string{"all together/one by one@1", "rebuild/loop@1"}; !slices.Equal(ratiosOf(r, ""), want) {
		t.Errorf("ratios are %v, want %v", r.Ratios, want)
	}
}

func TestDeliver(t *testing.T) {
	t.Parallel()
	r := tiny(t, Deliver{Rate: 500, Subscriptions: 2, Partitions: 2, Many: 6, ManyPartitions: 1, Events: minDelivered, Duration: 10 * moment})
	const failing = minDelivered / 2 * (fineShare - 1) / fineShare
	events := map[string]int64{
		"live: appends only": 100, "live: 2 subscriptions": 100, "live: another process": 100, "live: 6 subscriptions": 100,
		"idle: no subscription": 0, "idle: 6 subscriptions": 0,
		"catch-up: all": minDelivered, "catch-up: one type of ten": minDelivered, "catch-up: transactional": minDelivered, "catch-up: read only": minDelivered,
		"outage: park": deliverRounds * failing, "outage: drain": deliverRounds * failing,
		"http: target": minDelivered / 10, "http: webhook": minDelivered / 10, "http: post": minDelivered / 10,
	}
	for _, res := range r.Results {
		name := res.Question + ": " + res.Name
		each := res.Events
		if res.Question == partCatchUp || res.Question == partHTTP {
			each /= res.Calls
		}
		// What is due in a round is rounded down.
		if want, known := events[name]; !known || each > want || each < want-deliverRounds {
			t.Errorf("%s: %d events in %d calls, want %d", name, res.Events, res.Calls, want)
		}
		delete(events, name)
	}
	if len(events) > 0 {
		t.Errorf("not measured: %v", slices.Sorted(maps.Keys(events)))
	}
	if got := ratiosOf(r, "catch-up: all/"); len(got) != 3 {
		t.Errorf("ratios are %v", r.Ratios)
	}
}

func TestPull(t *testing.T) {
	t.Parallel()
	r := tiny(t, Pull{Callers: 3, Batches: []int{1, 7}, Events: 60, Duration: moment})
	for _, res := range r.Results {
		if res.Events == 0 || res.Events%60 != 0 {
			t.Errorf("%s, %s: %d events in %d calls, want all 60 in each round", res.Question, res.Name, res.Events, res.Calls)
		}
	}
	if len(r.Results) != 6 || len(r.Ratios) != 4 {
		t.Errorf("results are %v, ratios %v", r.Results, r.Ratios)
	}
}

func TestSettingsThatCannotBeMeasured(t *testing.T) {
	t.Parallel()
	ok := Append{Callers: []int{1}, Duration: time.Second, Batch: 1, Streams: StreamsNew}
	if err := ok.Check(); err != nil {
		t.Fatal(err)
	}
	with := func(change func(*Append)) Append { a := ok; change(&a); return a }
	for name, b := range map[string]Benchmark{
		"no callers":       with(func(a *Append) { a.Callers = nil }),
		"zero callers":     with(func(a *Append) { a.Callers = []int{8, 0} }),
		"too many callers": with(func(a *Append) { a.Callers = []int{maxCallers + 1} }),
		"no duration":      with(func(a *Append) { a.Duration = 0 }),
		"empty batch":      with(func(a *Append) { a.Batch = 0 }),
		"unknown streams":  with(func(a *Append) { a.Streams = "old" }),
		"unknown name":     with(func(a *Append) { a.Only = []string{"recount", "delete"} }),
		"empty log":        Read{Callers: []int{1}, Duration: 1},
		"empty streams":    Load{Callers: []int{1}, Duration: 1},
		"no rate":          Project{ShopRate: 1, Duration: 1, Events: 1},
		"no memory":        Rebuild{Events: 1, Duration: 1},
		"not so many":      Deliver{Rate: 1, Subscriptions: 5, Many: 7, Partitions: 1, ManyPartitions: 1, Events: minDelivered, Duration: 1},
		"three partitions": Deliver{Rate: 1, Subscriptions: 5, Many: 10, Partitions: 3, ManyPartitions: 1, Events: minDelivered, Duration: 1},
		"unknown part":     Deliver{Rate: 1, Subscriptions: 5, Many: 10, Partitions: 1, ManyPartitions: 1, Events: minDelivered, Duration: 1, Only: []string{"all"}},
		"nothing asked":    Pull{Callers: 1, Events: 1, Duration: 1},
		"few timers":       Sagas{InFlight: []int{1}, Duration: 1},
		"no orders":        HTTP{Connections: []int{1}, Duration: 1},
		"no whole stream":  Compare{Callers: []int{1}, Duration: 1, Batch: 1, Events: 9, Tail: 1},
		"nobody to follow": Compare{Callers: []int{1}, Duration: 1, Batch: 1, Events: 10},
	} {
		if _, err := Run(t.Context(), Options{Database: "postgres://nobody@127.0.0.1:1/none"}, b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: Run = %v, want ErrInvalid", name, err)
		}
	}
}

func TestInterruptedRunLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	ctx, cancel := context.WithCancel(t.Context())
	o := Options{Database: db.DSN, Progress: func(what string) {
		if strings.Contains(what, "round") {
			cancel()
		}
	}}
	_, err := Run(ctx, o, Append{Callers: []int{4}, Duration: time.Hour, Batch: 1, Streams: StreamsNew})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want that it was cancelled", err)
	}
	var left int
	if err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'recount%'`).Scan(&left); err != nil || left > 0 {
		t.Errorf("%d schemas are left (%v)", left, err)
	}
}

// The shape of the JSON is what others read.
func TestJSON(t *testing.T) {
	t.Parallel()
	r := Report{
		Bench:   "append",
		Machine: machine.Machine{CPU: "cpu", Cores: 2, Settings: map[string]string{"fsync": "on"}},
		Results: []Result{{Name: "recount", Callers: 8, EventsPerSecond: 100.5, P50: 1.5, P99: 2.5, Max: 3, Calls: 10, Events: 20, Seconds: 0.2, Rounds: []float64{99, 102}}},
		Ratios:  map[string]float64{"recount/insert@8": 0.5},
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	const want = `{"bench":"append","machine":{"cpu":"cpu","cores":2,"memory_bytes":0,"os":"","go":"","recount":"","postgres":"",` +
		`"settings":{"fsync":"on"},"load":0,"command":"","at":"0001-01-01T00:00:00Z"},` +
		`"results":[{"name":"recount","callers":8,"events_per_second":100.5,"p50_ms":1.5,"p99_ms":2.5,"max_ms":3,` +
		`"calls":10,"events":20,"seconds":0.2,"rounds":[99,102]}],"ratios":{"recount/insert@8":0.5}}` + "\n"
	if b.String() != want {
		t.Errorf("JSON is\n%swant\n%s", b.String(), want)
	}
	b.WriteString(want)
	back, err := ReadAll(&b)
	if err != nil || len(back) != 2 || back[1].Results[0].Rounds[1] != 102 {
		t.Errorf("ReadAll = %+v, %v", back, err)
	}
	for _, bad := range []string{"[]", "{}", `{"bench":"append"}`, want + "{"} {
		if _, err := ReadAll(strings.NewReader(bad)); err == nil {
			t.Errorf("ReadAll(%q) succeeded", bad)
		}
	}
}

func TestRatios(t *testing.T) {
	t.Parallel()
	results := []Result{
		{Name: "recount", Callers: 1, EventsPerSecond: 50, P50: 4},
		{Name: "insert", Callers: 1, EventsPerSecond: 100, P50: 2},
		{Name: "copy", Callers: 1}, // which did nothing
		{Name: "insert", Callers: 8, EventsPerSecond: 100, P50: 1},
		{Name: "recount", Callers: 8, EventsPerSecond: 400, P50: 3},
	}
	if got, want := ratios(results, "", "recount", rate), (map[string]float64{"recount/insert@1": 0.5, "recount/insert@8": 4}); !maps.Equal(got, want) {
		t.Errorf("ratios of rates = %v, want %v", got, want)
	}
	if got, want := ratios(results, "p50 ", "recount", median), (map[string]float64{"p50 recount/insert@1": 2, "p50 recount/insert@8": 3}); !maps.Equal(got, want) {
		t.Errorf("ratios of medians = %v, want %v", got, want)
	}
	r := Report{Ratios: map[string]float64{"a/b@64": 1, "a/b@8": 1, "a/c@1": 1, "a/b@1": 1}}
	if got, want := r.ratioNames(), []string{"a/b@1", "a/b@8", "a/b@64", "a/c@1"}; !slices.Equal(got, want) {
		t.Errorf("names in order are %v, want %v", got, want)
	}
}
