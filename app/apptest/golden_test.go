package apptest_test

import (
	"strings"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/projections"
)

func TestGoldenNoticesAFoldThatHasChanged(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv(apptest.EnvUpdate, "") // back at the end, whatever the test does
	rows := func(update string, change func(*projections.Fold[string, jarRow])) []string {
		t.Helper()
		t.Setenv(apptest.EnvUpdate, update)
		a, jars := jarsApp()
		change(jars)
		r := &recorder{TB: t}
		x := apptest.New(r, a)
		x.Given("jar-ann", put{Coins: 6, At: at, Tags: []string{"a"}})
		x.Given("jar-ben", put{Coins: 7, At: at})
		apptest.Golden(x, jars)
		return r.errors
	}
	same := func(*projections.Fold[string, jarRow]) {}
	changed := func(f *projections.Fold[string, jarRow]) {
		projections.Upsert(f, projections.ByID, func(r *jarRow, e put, _ projections.Recorded) error {
			if e.Coins == 7 {
				r.Coins++
			}
			return nil
		})
	}
	for _, step := range []struct {
		name, update string
		fold         func(*projections.Fold[string, jarRow])
		want         []string
	}{
		{"without a file", "", same, []string{"there is no testdata/jars_v1.golden", "UPDATE_GOLDEN=1"}},
		{"to be written", "1", same, nil},
		{"the same", "", same, nil},
		{"changed", "", changed, []string{"set its Version to 2", `-{"id": "ben", "coins": 7,`, `+{"id": "ben", "coins": 8,`}},
		{"to be written again", "1", changed, nil},
		{"as it is now", "", changed, nil},
	} {
		told := rows(step.update, step.fold)
		if (len(told) > 0) != (step.want != nil) {
			t.Errorf("%s: the test was told %q", step.name, told)
		}
		for _, want := range step.want {
			if !strings.Contains(strings.Join(told, "\n"), want) || strings.Contains(told[0], "ann") {
				t.Errorf("%s: the test was told %q, want %s and nothing of ann", step.name, told, want)
			}
		}
	}
}

func TestOpenAPINoticesWhatBreaksClients(t *testing.T) {
	t.Chdir(t.TempDir())
	const path = "testdata/openapi.json"
	jars := func(a *app.App) *app.Module { return &a.Modules[0] }
	same := func(*app.App) {}
	for _, step := range []struct {
		name, update string
		change       func(*app.App)
		want         string
	}{
		{"without a file", "", same, "there is no testdata/openapi.json; write it with UPDATE_GOLDEN=1"},
		{"to be written", "1", same, ""},
		{"another version of the program", "", func(a *app.App) { a.Version = "2" }, ""},
		{"a route less", "", func(a *app.App) { jars(a).Reads = jars(a).Reads[1:] }, "GET /v1/jars/{id}"},
		{"a route more", "", func(a *app.App) {
			jars(a).Reads = append(jars(a).Reads, app.SQL[size]("/v1/more", `SELECT size, id FROM {jars}`, app.SQLOptions{}))
		}, "testdata/openapi.json is not what the API is now"},
	} {
		t.Setenv(apptest.EnvUpdate, step.update)
		a, _ := jarsApp()
		step.change(&a)
		r := &recorder{TB: t}
		apptest.OpenAPI(r, a, path)
		told := strings.Join(r.errors, "\n")
		if breaks := strings.Contains(told, "breaks clients"); (told != "") != (step.want != "") || !strings.Contains(told, step.want) ||
			breaks != (step.name == "a route less") {
			t.Errorf("%s: the test was told %q, want %q", step.name, told, step.want)
		}
	}
}
