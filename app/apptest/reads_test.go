package apptest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/projections"
)

// lidRow has a column of each type that a parameter can have.
type lidRow struct {
	Shut   bool
	Weight float64
	Size   int16
	Maker  uuid.UUID
	Cast   [16]byte
	Filled time.Time
}

const (
	maker  = "01890a5d-ac96-774b-bcce-b302099a8057"
	lidSQL = `SELECT id FROM {lids} WHERE ($1::boolean IS NULL OR shut = $1) AND ($2::text IS NULL OR size = $2::text::int)
	AND ($3::jsonb IS NULL OR $3::jsonb <> '{}') AND filled < $4::timestamptz`
)

// lidsApp has a list that filters by each column, and an SQL.
func lidsApp() app.App {
	a, _ := jarsApp()
	filters := []string{"shut", "weight", "size", "maker", "cast", "filled"}
	table := projections.Table{Name: "lids", Version: 1}
	for _, name := range filters {
		table.Indexes = append(table.Indexes, projections.Index{Columns: []string{name}})
	}
	lids := projections.NewFold[string, lidRow](table)
	projections.Upsert(lids, projections.ByID, func(r *lidRow, e put, _ projections.Recorded) error {
		*r = lidRow{e.Coins == 0, float64(e.Coins) / 2, int16(e.Coins), uuid.MustParse(maker), uuid.MustParse(maker), e.At}
		return nil
	})
	m := app.Module{Name: "lids", Projections: []projections.Projection{lids}}
	for _, name := range filters {
		m.Reads = append(m.Reads,
			app.List("/v1/lids/by-"+name, lids, app.ListOptions{Filters: []string{name}}),
			app.List("/v1/lids/of-"+name+"/{"+name+"}", lids, app.ListOptions{}))
	}
	type found struct {
		Ident string `db:"id" json:"lid"`
	}
	m.Reads = append(m.Reads, app.SQL[found]("/v1/lids/before/{at}", lidSQL, app.SQLOptions{Params: []string{"shut", "size", "more", "at"}}))
	a.Modules = append(a.Modules, m)
	return a
}

// TestParametersAreOfTheTypesOfColumns: what they cannot be is said with their names, as a mistake of the client.
func TestParametersAreOfTheTypesOfColumns(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"memory", "postgres"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			x := map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres}[kind](t, lidsApp())
			x.Given("jar-open", put{Coins: 3, At: at})
			x.Given("jar-shut", put{Coins: 0, At: at.Add(time.Hour)})

			finds := func(path string, want ...string) {
				t.Helper()
				var page struct{ Items []struct{ ID, Lid string } }
				w := x.Request("GET", path, "")
				if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || w.Code != 200 {
					t.Errorf("GET %s = %d %s", path, w.Code, w.Body)
				}
				var ids []string
				for _, item := range page.Items {
					ids = append(ids, item.ID+item.Lid)
				}
				if !slices.Equal(ids, want) {
					t.Errorf("GET %s = %s, want %q", path, w.Body, want)
				}
				if tag := w.Header().Get("ETag"); !strings.HasPrefix(tag, `W/"`) {
					t.Errorf("GET %s has the ETag %s, want a weak one", path, tag)
				}
			}
			refuses := func(path, code, name, why string) {
				t.Helper()
				var p struct {
					Code   string
					Errors []struct{ Parameter, Detail string }
				}
				w := x.Request("GET", path, "")
				if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
					t.Error(err)
				}
				if w.Code != 400 || p.Code != code || len(p.Errors) != 1 || p.Errors[0].Parameter != name || !strings.Contains(p.Errors[0].Detail, why) {
					t.Errorf("GET %s = %d %s\nwant %s of %s: %s", path, w.Code, w.Body, code, name, why)
				}
			}
			for _, c := range []struct {
				column, value string
				finds         []string
				wrong         []string
				why           string
			}{
				{"shut", "true", []string{"shut"}, []string{"1", "0", "null", "True", "t"}, "must be true or false"},
				{"weight", "1.5", []string{"open"}, []string{"null", "NaN", "Inf", "much"}, "must be a number"},
				{"size", "3", []string{"open"}, []string{"null", "3.0", "32768", "%203"}, "must be a whole number from -32768 to 32767"},
				{"maker", maker, []string{"open", "shut"}, []string{"null", "me"}, "must be a UUID"},
				{"cast", maker, []string{"open", "shut"}, []string{"null", "me"}, "must be a UUID"},
				{"filled", "2030-01-02T04:04:05.000678%2B01:00", []string{"open"}, []string{"null", "2030-01-02"}, "must be a time of RFC 3339"},
			} {
				finds("/v1/lids/by-"+c.column+"?"+c.column+"="+c.value, c.finds...)
				finds("/v1/lids/of-"+c.column+"/"+c.value, c.finds...)
				finds("/v1/lids/by-"+c.column, "open", "shut")
				for _, wrong := range c.wrong {
					refuses("/v1/lids/by-"+c.column+"?"+c.column+"="+wrong, "invalid-parameter", c.column, c.why)
					refuses("/v1/lids/of-"+c.column+"/"+wrong, "invalid-path", c.column, c.why)
				}
			}
			if x.Service.Pool == nil {
				return
			}
			finds("/v1/lids/before/2031-01-01", "open", "shut")
			finds("/v1/lids/before/2031-01-01?shut=false&size=3&more=%7B%22a%22:1%7D", "open")
			refuses("/v1/lids/before/2031-01-01?shut=null", "invalid-parameter", "shut", `invalid input syntax for type boolean: "null"`)
			refuses("/v1/lids/before/2031-01-01?size=null", "invalid-parameter", "size", `invalid input syntax for type integer: "null"`)
			refuses("/v1/lids/before/2031-01-01?more=%7B", "invalid-parameter", "more", "invalid input syntax for type json")
			refuses("/v1/lids/before/tomorrowish", "invalid-path", "at", "invalid input syntax for type timestamp")
		})
	}
}

// TestStatementsAreTriedAtTheStart: what is wrong with one keeps a service from starting, with the path, and is not the client's fault.
func TestStatementsAreTriedAtTheStart(t *testing.T) {
	t.Parallel()
	type lid struct{ ID string }
	a := lidsApp()
	wrong := func(path, sql string, o app.SQLOptions) {
		m := &a.Modules[len(a.Modules)-1]
		m.Reads = append(m.Reads, app.SQL[lid](path, sql, o))
	}
	wrong("/v1/renamed", `SELECT id AS idz FROM {lids}`, app.SQLOptions{})
	wrong("/v1/torn", `SELECT id FROM {lids} WHERE`, app.SQLOptions{})
	for i, later := range []string{"JOIN of_another_program USING (id)", "WHERE lid = id", "WHERE of_extension(id)", "WHERE id::of_extension IS NULL", "WHERE (SELECT pg_sleep(60) IS NULL)"} {
		wrong(fmt.Sprint("/v1/later/", i), `SELECT id FROM {lids} `+later, app.SQLOptions{})
	}
	wrong("/v1/grouped", `SELECT id FROM {lids} GROUP BY id HAVING size < count(*)`, app.SQLOptions{}) // right by the primary key
	wrong("/v1/right", `SELECT id FROM {lids} WHERE 1/(size-size) = $1`, app.SQLOptions{Params: []string{"n"}})
	db := pgtest.New(t)
	if _, err := a.MigrateUp(t.Context(), db.Direct, db.Schema); err != nil {
		t.Fatal(err)
	}
	s, err := app.Open(t.Context(), a, app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.WithoutCancel(t.Context()))
	err = s.Start(t.Context())
	for _, want := range []string{
		`app: read /v1/renamed: invalid query: the column "idz" has no field in apptest_test.lid; fields are id`,
		`app: read /v1/torn: `, `syntax error`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Start = %v\nwant %s", err, want)
		}
	}
	if err != nil && strings.Count(err.Error(), "app: read") != 2 {
		t.Errorf("Start = %v, want two mistakes", err)
	}
	// A process of another version may have the rows, and a client is told that it was not the client.
	if err := s.Runner.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	x := apptest.Of(t, s)
	x.Given("jar-open", put{Coins: 3, At: at})
	if w := x.Request("GET", "/v1/renamed", ""); w.Code != 500 || !strings.Contains(w.Body.String(), `"code":"internal"`) {
		t.Errorf("GET /v1/renamed = %d %s, want 500", w.Code, w.Body)
	}
}
