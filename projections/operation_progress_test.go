package projections

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheTimeLeftIsThatOfAllReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newProgressMeter(0)
		if left := m.progress().SecondsLeft; left != nil {
			t.Errorf("before anything was read %v s are left", *left)
		}
		// A tenth of the log in a second, and another reading of it to come.
		m.pass("reading the log", 0, 1000, 1000)
		time.Sleep(time.Second)
		if err := m.read(t.Context(), 100, 100, 100); err != nil {
			t.Fatal(err)
		}
		if left := m.progress().SecondsLeft; left == nil || *left != 19 {
			t.Errorf("left = %v, want 19 s", left)
		}
		m.phase("verifying", 0, 1000)
		time.Sleep(time.Second)
		if err := m.read(t.Context(), 500, 500, 500); err != nil {
			t.Fatal(err)
		}
		if left := m.progress().SecondsLeft; left == nil || *left != 1 {
			t.Errorf("left = %v, want 1 s", left)
		}
	})
}

func TestReadingsAhead(t *testing.T) {
	for _, c := range []struct {
		passes, done, todo int
		verify             bool
		want               int64
	}{
		{0, 0, 256, false, 0}, // nothing is known yet
		{0, 0, 256, true, 1},
		{1, 100, 156, false, 1},
		{1, 100, 156, true, 2},
		{2, 200, 56, false, 0},
		{2, 1, 255, false, 254},
	} {
		x := &execution{claim: &claim{op: Operation{Options: Options{Verify: c.verify}}}}
		if got := x.readingsAhead(c.passes, c.done, c.todo); got != c.want {
			t.Errorf("readingsAhead(%d, %d, %d) with verify %t = %d, want %d", c.passes, c.done, c.todo, c.verify, got, c.want)
		}
	}
}
