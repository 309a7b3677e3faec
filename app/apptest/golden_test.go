package apptest_test

import (
	"strings"
	"testing"

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
