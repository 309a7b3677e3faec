package failpoint

import (
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	got, err := parseSettings(" append/committed=kill@37;lease/renewed=stop@3; append/begin=delay:20ms;notify/send=error;")
	if err != nil {
		t.Fatal(err)
	}
	want := []setting{
		{AppendCommitted, kill, 0, 37}, {LeaseRenewed, stop, 0, 3},
		{AppendBegin, delay, 20 * time.Millisecond, 0}, {NotifySend, fail, 0, 0},
	}
	if len(got) != len(want) {
		t.Fatalf("settings = %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("setting %d = %v, want %v", i, got[i], want[i])
		}
	}
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct{ settings, want string }{
		{"append/committed", "write it like"},
		{"append/nowhere=kill", "no point"},
		{"append/begin=explode", "no action"},
		{"append/begin=kill@0", "number of a hit"},
		{"append/begin=kill@x", "number of a hit"},
		{"append/begin=delay", "needs its length"},
		{"append/begin=delay:-1s", "needs its length"},
		{"append/begin=kill:1s", "no argument"},
		{"append/begin=error", "nothing can fail"},
		{"append/begin=kill;append/begin=stop", "a setting already"},
	} {
		if _, err := parseSettings(c.settings); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("parseSettings(%q) = %v, want %q", c.settings, err, c.want)
		}
	}
}
