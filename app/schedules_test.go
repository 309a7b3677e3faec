package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/sagas"
)

// TestSchedules run their command once for each time, and for those that nobody was there for as they say.
func TestSchedules(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, run func(testing.TB, app.App) *apptest.Test) {
		a := tripsApp()
		command := func(of string) func(time.Time) sagas.Command {
			return func(due time.Time) sagas.Command {
				return sagas.Command{Name: "trip.become", ID: of + "-" + due.Format("150405"), Command: become{"due"}}
			}
		}
		a.Modules[0].Schedules = []sagas.Schedule{
			{Name: "once", Every: time.Hour, Command: command("once")},
			{Name: "skips", Cron: "CRON_TZ=Europe/Berlin 0 * * * *", Command: command("skips"), Missed: sagas.RunNone},
		}
		x := run(t, a)
		now := x.Service.Sagas.Now().UTC()
		due := now.Truncate(time.Hour).Add(time.Hour)
		times := func(of string) (all []string) {
			for _, i := range apptest.Rows(x, sagas.Instances) { // in the order of their ids
				if i.Key.Saga == "schedule_"+of && i.Row.Status == "completed" && x.State("trip-"+of+"-"+dueOf(t, i.Key.ID).Format("150405")) == (trip{Status: "due"}) {
					all = append(all, i.Key.ID)
				}
			}
			return all
		}
		x.Advance(due.Sub(now) + time.Second)
		deliver(t, x)
		x.Advance(time.Hour)
		deliver(t, x)
		x.Advance(3 * time.Hour) // in which nobody is there
		deliver(t, x)
		x.Advance(time.Hour)
		deliver(t, x)
		for of, want := range map[string][]int{"once": {0, 1, 2, 5}, "skips": {0, 1, 5}} {
			var ids []string
			for _, hours := range want {
				ids = append(ids, due.Add(time.Duration(hours)*time.Hour).Format("20060102T150405Z"))
			}
			if got := times(of); !slices.Equal(got, ids) {
				t.Errorf("%s has run for %q, want %q", of, got, ids)
			}
		}
	})
}

func dueOf(t *testing.T, id string) time.Time {
	t.Helper()
	due, err := time.Parse("20060102T150405Z", id)
	if err != nil {
		t.Fatal(err)
	}
	return due
}

// TestSchedulesThatCannotBe are mistakes of the App.
func TestSchedulesThatCannotBe(t *testing.T) {
	t.Parallel()
	command := func(time.Time) sagas.Command { return sagas.Command{} }
	for want, s := range map[string]sagas.Schedule{
		"one of Cron and Every": {Name: "none", Command: command},
		"so many seconds":       {Name: "often", Every: time.Millisecond, Command: command},
		"cron \"all day\"":      {Name: "words", Cron: "all day", Command: command},
		"not \"later\"":         {Name: "policy", Cron: "@daily", Missed: "later", Command: command},
		"no function that says": {Name: "nothing", Cron: "@daily"},
		"lower-case letters":    {Name: "Big", Cron: "@daily", Command: command},
	} {
		a := tripsApp()
		a.Modules[0].Schedules = []sagas.Schedule{s}
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("schedule %s: %v, want %s", s.Name, err, want)
		}
	}
}
