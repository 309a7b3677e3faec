package operations

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestTheTimeLeftIsThatOfAllReadings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := NewMeter(0)
		if left := m.progress().SecondsLeft; left != nil {
			t.Errorf("before anything was read %v s are left", *left)
		}
		// A tenth of the log in a second, and another reading of it to come.
		m.Pass("reading the log", 0, 1000, 1000)
		time.Sleep(time.Second)
		if err := m.Read(t.Context(), 100, 100, 100); err != nil {
			t.Fatal(err)
		}
		if left := m.progress().SecondsLeft; left == nil || *left != 19 {
			t.Errorf("left = %v, want 19 s", left)
		}
		m.Phase("verifying", 0, 1000)
		time.Sleep(time.Second)
		if err := m.Read(t.Context(), 500, 500, 500); err != nil {
			t.Fatal(err)
		}
		if left := m.progress().SecondsLeft; left == nil || *left != 1 {
			t.Errorf("left = %v, want 1 s", left)
		}
	})
}
