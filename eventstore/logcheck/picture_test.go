package logcheck_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore/logcheck"
)

func TestWhatIsNotLinearizableIsDrawn(t *testing.T) {
	t.Parallel()
	for name, plant := range map[string]func(e *evidence){
		"none":         func(*evidence) {},
		"a stale read": func(e *evidence) { r := &e.history.Reads[1]; r.Start, r.End = 41, 42 },
	} {
		for _, chunk := range []int{0, 1} { // the reason is in a chunk, or between two
			e := valid()
			plant(e)
			dir := t.TempDir()
			found := logcheck.Linearizable(&e.history, e.log(), logcheck.LinearOptions{Chunk: chunk, Pictures: dir})
			pictures, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				t.Fatal(err)
			}
			if name == "none" {
				if len(found)+len(pictures) > 0 {
					t.Errorf("without a fault: %v, drawn in %v", found, pictures)
				}
				continue
			}
			if len(found) != 1 || len(pictures) != 1 || !strings.HasSuffix(found[0].Text, "; drawn in "+pictures[0]) {
				t.Fatalf("in chunks of %d: %v, drawn in %v; want one that says where", chunk, found, pictures)
			}
			page, err := os.ReadFile(pictures[0])
			if err != nil || !strings.Contains(string(page), "<html") || !strings.Contains(string(page), "read 11 of x") {
				t.Errorf("the page (%v) has %d bytes and does not show the read", err, len(page))
			}
		}
	}
	e := valid()
	e.history.Reads[1].Start, e.history.Reads[1].End = 41, 42
	found := logcheck.Linearizable(&e.history, e.log(), logcheck.LinearOptions{Pictures: filepath.Join(t.TempDir(), "nowhere")})
	if len(found) != 1 || !strings.Contains(found[0].Text, "; draw it: ") {
		t.Errorf("where nothing can be drawn: %v", found)
	}
}
