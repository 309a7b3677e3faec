package main

import (
	"os"
	"strings"
	"testing"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/examples/internal/readme"
)

func TestMain(m *testing.M) { apptest.Main(m) }

// TestTheGuide: docs/sagas.md has this program, whole, and commands that do with it what they say.
func TestTheGuide(t *testing.T) {
	t.Parallel()
	const guide = "../../docs/sagas.md"
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "```go\n"+string(program)+"```") {
		t.Errorf("%s does not show main.go as it is", guide)
	}
	readme.Run(t, apptest.New(t, expenses()), guide)
}
