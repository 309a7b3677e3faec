package simulator_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

// TestAFileOutlivesTheProcess, and what a process that was killed has half written is gone.
func TestAFileOutlivesTheProcess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "answers")
	for run := range 3 {
		f, past, err := simulator.OpenFile(name)
		if err != nil || len(past) != run {
			t.Fatalf("run %d begins with %v, %v", run, past, err)
		}
		g := simulator.New(simulator.Config{Keep: f.Keep, Past: past})
		if _, err := g.Authorize(t.Context(), request("a", 100)); err != nil {
			t.Fatal(err)
		}
		if run > 0 {
			if _, err := g.Capture(t.Context(), request("c"+string(rune('0'+run)), 10)); err != nil {
				t.Fatal(err)
			}
		}
		if want := int64(run * 10); g.Amounts("42").CapturedMinor != want {
			t.Errorf("run %d has captured %d, want %d", run, g.Amounts("42").CapturedMinor, want)
		}
		if _, err := f.WriteString(`{"operation":"capt`); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(name, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := simulator.OpenFile(name); err == nil {
		t.Error("a file with nonsense in it is opened")
	}
}
