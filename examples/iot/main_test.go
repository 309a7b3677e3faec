package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/examples/internal/readme"
)

func TestMain(m *testing.M) { apptest.Main(m) }

func TestReadme(t *testing.T) {
	t.Parallel()
	readme.Run(t, apptest.New(t, iot()), "README.md")
}

// TestAlerts are raised once and cleared once, whatever the readings do between, and a device that is silent is offline until it is not.
func TestAlerts(t *testing.T) {
	t.Parallel()
	var paged bytes.Buffer
	x := apptest.New(t, iot())
	x.Service.Logger = zerolog.New(&paged)
	begun := time.Now()
	at := func(minutes int) time.Time { return begun.Add(time.Duration(minutes) * time.Minute) }
	if err := x.Do("device.register", "a", Register{Rule: Rule{High: 80, Normal: 70, SilentAfterS: 600}, At: begun}); err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, step := range []struct {
		minute int
		value  float64 // 0: none
		want   string  // the open alerts
	}{
		{1, 79, ""}, {2, 80, "high"}, {3, 75, "high"}, {4, 90, "high"}, {5, 70, ""}, {6, 79, ""}, {7, 81, "high"},
		{16, 0, "high"}, // a look, and it has sent something within ten minutes
		{18, 0, "high offline"}, {50, 0, "high offline"}, {51, 60, ""},
		{60, 0, ""}, {62, 0, "offline"},
	} {
		x.Advance(time.Duration(step.minute-passed) * time.Minute)
		if passed = step.minute; step.value != 0 {
			if err := x.Do("device.readings", "a", Take{Value: step.value, At: at(step.minute)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Deliver(); err != nil {
			t.Fatal(err)
		}
		var open []string
		for _, row := range apptest.Rows(x, newAlerts()) {
			open = append(open, row.Key.Kind)
		}
		if got := strings.Join(open, " "); got != step.want {
			t.Errorf("in minute %d open are %q, want %q", step.minute, got, step.want)
		}
	}
	// The minutes of the readings: those that are over by the time of the last reading.
	if got := x.Request("GET", "/v1/devices/a/minutes", "").Body.String(); strings.Count(got, `"minute"`) != 7 || !strings.Contains(got, `"mean":70`) {
		t.Errorf("the minutes of a are %s", got)
	}
	// What comes late is kept, counts in its minute, and changes nothing else.
	if err := x.Do("device.readings", "a", Take{Value: 99, At: at(3)}); err != nil {
		t.Fatal(err)
	}
	if err := x.Deliver(); err != nil {
		t.Fatal(err)
	}
	if got := x.Request("GET", "/v1/devices/a/minutes", "").Body.String(); strings.Count(got, `"minute"`) != 7 || !strings.Contains(got, `"mean":87`) {
		t.Errorf("the minutes of a are %s, want those of 75 and 99 in one", got)
	}
	row, _ := apptest.Row(x, newLast(), "a")
	if row.Readings != 9 || *row.Value != 60 || len(apptest.Rows(x, newAlerts())) != 1 {
		t.Errorf("the last reading is %+v, want the ninth to have changed nothing", row)
	}
	if n := strings.Count(paged.String(), "\n"); n != 4 {
		t.Errorf("who is on duty was told %d times, want of two alerts of each kind:\n%s", n, &paged)
	}
	if n := x.State("device-a").(Device).Watches; n != 3 { // when it was registered, after ten minutes, and when it was back
		t.Errorf("there were %d timers, want 3: one for each time that it may be silent, none for a reading", n)
	}
}
