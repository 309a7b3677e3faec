package app_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
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

// TestSchedulesGoOn whatever becomes of one of their times, and what causes one causes none behind it.
func TestSchedulesGoOn(t *testing.T) {
	t.Parallel()
	a := tripsApp()
	a.Modules[0].Schedules = []sagas.Schedule{{Name: "hourly", Every: time.Hour, Command: func(due time.Time) sagas.Command {
		return sagas.Command{Name: "trip.become", ID: due.Format("150405"), Command: become{"due"}}
	}}}
	x := apptest.New(t, a)
	now := x.Service.Sagas.Now().UTC()
	due := now.Truncate(time.Hour).Add(time.Hour)
	id := func(hour int) string { return due.Add(time.Duration(hour) * time.Hour).Format("20060102T150405Z") }
	act := func(id string, what sagas.Intervened) {
		t.Helper()
		what.Actor, what.Reason = "ops", "test"
		if _, err := x.Service.Sagas.Do(t.Context(), "schedule_hourly", id, sagas.Intervene{Intervened: what}, commands.Options{}); err != nil {
			t.Fatal(err)
		}
		deliver(t, x)
	}
	act(id(0), sagas.Intervened{Act: sagas.Skip, Step: "due"}) // as a clock that is ahead does
	act(id(1), sagas.Intervened{Act: sagas.Terminate})
	x.Advance(due.Add(time.Hour).Sub(now) + time.Second)
	deliver(t, x)
	for hour, want := range []sagas.Status{sagas.Completed, sagas.Terminated, sagas.Running} {
		if i, _, err := x.Service.Sagas.Load(t.Context(), "schedule_hourly", id(hour)); err != nil || i.Status != want {
			t.Errorf("the instance of time %d is %q (%v), want %s", hour, i.Status, err, want)
		}
	}
	for e, err := range x.Service.Log.ReadStream(t.Context(), sagas.StreamOf("schedule_hourly", id(1)), eventstore.ReadOptions{Limit: 1}) {
		if m, _ := commands.ParseMetadata(e.Metadata); err != nil || m.CausationID != "schedule hourly" {
			t.Errorf("the second time has the cause %q (%v), want none of the first", m.CausationID, err)
		}
	}
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
		"say it with Every":     {Name: "each", Cron: "@every 1h", Command: command},
		"a zone and no times":   {Name: "zone", Cron: "CRON_TZ=Europe/Berlin", Command: command},
		"never comes":           {Name: "never", Cron: "0 0 30 2 *", Command: command},
		"lower-case letters":    {Name: "Big", Cron: "@daily", Command: command},
	} {
		a := tripsApp()
		a.Modules[0].Schedules = []sagas.Schedule{s}
		if err := a.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("schedule %s: %v, want %s", s.Name, err, want)
		}
	}
}
