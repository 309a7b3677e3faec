package apptest_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/queries"
)

func TestMain(m *testing.M) { apptest.Main(m) }

// jar is an aggregate of coins, and pour a unit across two of them.
type jar struct{ Coins int64 }

type jarEvent interface{ Evolve(jar) jar }

type put struct {
	Coins int64     `json:"coins"`
	Tags  []string  `json:"tags"`
	At    time.Time `json:"at"`
}

func (e put) Evolve(j jar) jar { j.Coins += e.Coins; return j }

type taken struct{ Coins int64 }

func (e taken) Evolve(j jar) jar { j.Coins -= e.Coins; return j }

type fill struct {
	At    time.Time `json:"at" app:"time"`
	Coins int64     `json:"coins"`
	Tags  []string  `json:"tags"`
}

func (c fill) Decide(jar) ([]jarEvent, error) { return []jarEvent{put{c.Coins, c.Tags, c.At}}, nil }

type pour struct {
	From  string `json:"from"`
	To    string `json:"to"`
	Coins int64  `json:"coins"`
}

var errEmpty = errors.New("there are fewer coins in the jar")

// jarRow is a jar as it is read.
type jarRow struct {
	Coins, Size int64
	Filled      time.Time
	Tags        map[string]int
}

type size struct {
	Size int64  `json:"size"`
	ID   string `json:"id"`
}

func newJars() *projections.Fold[string, jarRow] {
	f := projections.NewFold[string, jarRow](projections.Table{Name: "jars", Version: 1,
		Indexes: []projections.Index{{Columns: []string{"size", "coins"}}, {Columns: []string{"coins"}}}})
	projections.Upsert(f, projections.ByID, func(r *jarRow, e put, _ projections.Recorded) error {
		if e.Coins == 13 {
			panic("thirteen coins")
		}
		if r.Tags == nil {
			r.Tags = make(map[string]int)
		}
		for _, tag := range e.Tags {
			r.Tags[tag]++
		}
		r.Coins, r.Filled = r.Coins+e.Coins, e.At
		r.Size = int64(len(fmt.Sprint(r.Coins)))
		return nil
	})
	projections.Update(f, projections.ByID, func(r *jarRow, e taken, _ projections.Recorded) error {
		r.Coins -= e.Coins
		return nil
	})
	return f
}

// jarsApp returns the App, and its fold.
func jarsApp() (app.App, *projections.Fold[string, jarRow]) {
	jars := newJars()
	all := app.NewAggregate[jar, jarEvent]("jar", "/v1/jars").
		Events(app.Event[put]("CoinsPut", 1), app.Event[taken]("CoinsTaken", 1)).
		Commands(app.Do[fill]("fill")).Snapshots(2, 1)
	return app.App{Name: "jars", Modules: []app.Module{{
		Name:       "jars",
		Aggregates: []app.Aggregate{all},
		Units: []app.Unit{app.Across("pour", "/v1/pours", func(tx *app.Tx, c pour) error {
			if from, _ := all.Get(tx, c.From); from.Coins < c.Coins {
				return errEmpty
			}
			all.Put(tx, c.From, taken{c.Coins})
			all.Put(tx, c.To, put{Coins: c.Coins})
			return nil
		})},
		Projections: []projections.Projection{jars},
		Reads: []app.Read{
			app.Row("/v1/jars/{id}", jars),
			app.List("/v1/jars", jars, app.ListOptions{Filters: []string{"size"}, OrderBy: "coins", Desc: true}),
			app.SQL[size]("/v1/sizes", `SELECT size, min(id) AS id FROM {jars} GROUP BY size ORDER BY size`, app.SQLOptions{}),
		},
	}}}, jars
}

var at = time.Date(2030, 1, 2, 3, 4, 5, 678000, time.UTC)

// everywhere runs a test in memory and on PostgreSQL.
func everywhere(t *testing.T, test func(*testing.T, *apptest.Test, *projections.Fold[string, jarRow])) {
	for name, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a, jars := jarsApp()
			test(t, run(t, a), jars)
		})
	}
}

func TestTheSameStepsDoInMemoryAndOnPostgreSQL(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, x *apptest.Test, jars *projections.Fold[string, jarRow]) {
		if _, found := apptest.Row(x, jars, "ann"); found {
			t.Error("there is a row before any event")
		}
		if err := x.Do("jar.fill", "ann", fill{Coins: 7, At: at, Tags: []string{"a", "b"}}); err != nil {
			t.Fatal(err)
		}
		early, _ := apptest.Row(x, jars, "ann")
		if err := x.Do("jar.fill", "ann", fill{Coins: 8, At: at, Tags: []string{"a"}}); err != nil {
			t.Fatal(err)
		}
		if want := (jarRow{7, 1, at, map[string]int{"a": 1, "b": 1}}); !reflect.DeepEqual(early, want) {
			t.Errorf("row = %+v, want %+v, also after another event", early, want)
		}
		if err := x.Do("pour", "", pour{"ann", "ben", 50}); !errors.Is(err, errEmpty) {
			t.Errorf("pour = %v, want errEmpty", err)
		}
		if err := x.Do("pour", "", pour{"ann", "ben", 5}); err != nil {
			t.Error(err)
		}
		x.Given("jar-cid", put{Coins: 6, At: at})
		if state := x.State("jar-ann"); state != (jar{10}) {
			t.Errorf("state = %+v, want 10 coins", state)
		}
		if events := x.Events("jar-ben"); !reflect.DeepEqual(events, []any{put{Coins: 5}}) {
			t.Errorf("events = %+v, want that 5 were put", events)
		}
		var ids []string
		for _, item := range apptest.Rows(x, jars) {
			ids = append(ids, item.Key)
		}
		if !reflect.DeepEqual(ids, []string{"ann", "ben", "cid"}) {
			t.Errorf("rows of %q, want ann, ben, cid", ids)
		}

		answered := func(request string, status int, want ...string) string {
			t.Helper()
			method, path, _ := strings.Cut(request, " ")
			path, body, _ := strings.Cut(path, " ")
			w := x.Request(method, path, body)
			for _, text := range want {
				if w.Code != status || !strings.Contains(w.Body.String(), text) {
					t.Errorf("%s = %d %s, want %d with %s", request, w.Code, w.Body, status, text)
				}
			}
			return w.Body.String()
		}
		answered(`POST /v1/jars/dan/fill {"coins":9,"tags":[]}`, 200, `"version":0`)
		answered(`GET /v1/jars/dan`, 200, `"coins":9`)
		answered(`GET /v1/jars/eve`, 404, `not-found`)
		first := answered(`GET /v1/jars?size=1&limit=2`, 200, `"id":"dan"`, `"id":"cid"`)
		_, next, _ := strings.Cut(first, `"next":"`)
		next, _, _ = strings.Cut(next, `"`)
		if second := answered(`GET /v1/jars?size=1&limit=2&after=`+next, 200, `"id":"ben"`); strings.Contains(second, `"id":"cid"`) {
			t.Errorf("the second page repeats the first: %s", second)
		}
	})
}

func TestSQLNeedsPostgreSQL(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, x *apptest.Test, _ *projections.Fold[string, jarRow]) {
		x.Given("jar-ann", put{Coins: 6, At: at})
		w, status, text := x.Request("GET", "/v1/sizes", ""), 200, `"id":"ann"`
		if x.Service.Pool == nil {
			status, text = 501, "apptest.Postgres"
		}
		if w.Code != status || !strings.Contains(w.Body.String(), text) {
			t.Errorf("GET /v1/sizes = %d %s, want %d with %s", w.Code, w.Body, status, text)
		}
	})
}

// recorder is a test that goes on when it has failed.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()             {}
func (r *recorder) Error(args ...any)   { r.errors = append(r.errors, fmt.Sprint(args...)) }
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestAFoldThatStopsFailsTheTest(t *testing.T) {
	t.Parallel()
	for name, event := range map[string]any{"panic: thirteen coins": put{Coins: 13, At: at}, "there is no row to update": taken{1}} {
		a, jars := jarsApp()
		r := &recorder{TB: t}
		x := apptest.New(r, a)
		x.Given("jar-ann", event)
		var others sync.WaitGroup
		for range 3 {
			others.Go(func() { x.Given("jar-ben", put{Coins: 1, At: at}) })
		}
		others.Wait()
		if len(r.errors) != 1 || !strings.Contains(r.errors[0], "projection jars") || !strings.Contains(r.errors[0], name) {
			t.Errorf("the test was told %q, want once that jars has stopped: %s", r.errors, name)
		}
		_, err := queries.Get(t.Context(), x.Service.Reader, jars, "ben", eventstore.Token{})
		if !errors.Is(err, queries.ErrBehind) {
			t.Errorf("a read of the fold = %v, want that it has stopped", err)
		}
	}
}
