package mutants

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

const root = "../.."

// TestAllApply finds a mutant whose place in the product has changed.
func TestAllApply(t *testing.T) {
	t.Parallel()
	all, err := All()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		changed, err := m.Apply(root)
		if err != nil {
			t.Errorf("%v\nChange the patch in tests/mutants to fit, and see that it is caught: make mutants ARGS=%s", err, m.Name)
		}
		for file, text := range changed {
			if _, err := parser.ParseFile(token.NewFileSet(), file, text, parser.SkipObjectResolution); err != nil {
				t.Errorf("mutant %s makes no Go: %v", m.Name, err)
			}
		}
	}
}

func TestPatches(t *testing.T) {
	t.Parallel()
	const fields, place = "What: it is wrong\nScenario: s\nRule: r\n\n", "--- tests/mutants/testdata/source.txt\n@@ here\n"
	for _, c := range []struct{ name, text, want, err string }{
		{name: "a line goes", text: fields + place + " \tone\n-two\n", want: "\tone\n\tthree\ntwo\n"},
		{name: "a line comes", text: fields + place + " three\n+four\n", want: "\tone\n\ttwo\nthree\nfour\ntwo\n"},
		{name: "two places", text: fields + place + "-one\n@@\n-three\n+four\n", want: "\ttwo\nfour\ntwo\n"},
		{name: "a place that is gone", text: fields + place + "-five\n", err: "has the place 0 times, want once:\nfive"},
		{name: "a place that is there twice", text: fields + place + "-two\n", err: "has the place 2 times"},
		{name: "a file that is gone", text: fields + "--- none.go\n@@\n-one\n", err: "none.go: no such file"},
		{name: "no patch", text: fields, err: "it has no patch"},
		{name: "a line outside of a place", text: fields + "-one\n", err: "stands before"},
		{name: "a line without a sign", text: fields + place + "one\n", err: "begins with none of"},
		{name: "a field is missing", text: "What: it is wrong\n\n" + place + "-one\n", err: "it needs the fields"},
		{name: "an unknown field", text: "Where: here\n" + fields + place + "-one\n", err: "must not have map[Where:"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := parse("m", []byte(c.text))
			var changed map[string][]byte
			if err == nil {
				changed, err = m.Apply(root)
			}
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("the error is %v, want %q", err, c.err)
				}
				return
			}
			if got := string(changed["tests/mutants/testdata/source.txt"]); err != nil || got != c.want {
				t.Errorf("the file is %q, %v, want %q", got, err, c.want)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	t.Parallel()
	if some, err := Named("blind-retry", "append-split"); err != nil || len(some) != 2 || some[0].Name != "blind-retry" || !some[1].Harness {
		t.Errorf("Named = %+v, %v", some, err)
	}
	if _, err := Named("blind-rage"); err == nil || !strings.Contains(err.Error(), "blind-rage") {
		t.Errorf("Named = %v, want an error that names it", err)
	}
}
