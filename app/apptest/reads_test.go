package apptest_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
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
