package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/sagas"
)

// TestSagasDiagram: a definition is drawn without a database, the newest version of it.
func TestSagasDiagram(t *testing.T) {
	waits := func(version int, step string) *sagas.Saga {
		return sagas.Define("nap", version, func(s *sagas.Steps[struct{}]) { s.Wait(step, time.Hour) })
	}
	service := app.App{Name: "service", Modules: []app.Module{{Name: "naps", Sagas: []*sagas.Saga{waits(1, "long"), waits(2, "short")}}}}
	run := func(args ...string) (string, error) {
		var out bytes.Buffer
		prog := &Program{App: service, Stdin: strings.NewReader(""), Stdout: &out, Stderr: io.Discard, Getenv: func(string) string { return "" }}
		cmd := prog.Command()
		cmd.SetArgs(append([]string{"sagas", "diagram"}, args...))
		err := cmd.Execute()
		return out.String(), err
	}
	for format, want := range map[string]string{"svg": "<svg ", "mermaid": "flowchart TD"} {
		if out, err := run("nap", "--format", format); err != nil || !strings.Contains(out, want) || !strings.Contains(out, "short") || strings.Contains(out, "long") {
			t.Errorf("%s is %v and\n%s", format, err, out)
		}
	}
	for _, args := range [][]string{{"nap", "--format", "png"}, {"sleep"}} {
		if out, err := run(args...); err == nil || out != "" {
			t.Errorf("diagram %q prints %s, %v; want an error", args, out, err)
		}
	}
}
