package sagas

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDiagrams: an instance of the example whose payment was declined, and that waits for another one, is drawn as in testdata.
func TestDiagrams(t *testing.T) {
	s, err := Parse(example(t), testRegistry(t))
	if err != nil {
		t.Fatal(err)
	}
	i := begun(t, s, fields{"order": json.RawMessage(`"7"`), "total": json.RawMessage("2"), "lines": json.RawMessage(`[{"sku":"a"},{"sku":"b"},{"sku":"c"}]`)})
	end := func(in Input) {
		events, err := s.Decide(i, in, time.Date(2026, 1, 1, 0, 0, 1, 0, time.UTC))
		if err != nil || len(events) == 0 {
			t.Fatalf("%+v decides %v, %v", in, events, err)
		}
		for _, e := range events {
			i = e.Evolve(i)
		}
	}
	for _, name := range []string{"reserve-line[0]", "reserve-line[1]", "reserve-line[2]"} {
		step, _ := i.Step(name)
		end(Complete{Step: name, Number: step.Number})
	}
	step, _ := i.Step("authorize")
	end(Fail{Step: "authorize", Number: step.Number, Code: "declined", Reason: "no money"})
	wellFormed(t, s.SVG(&i))
	for file, got := range map[string]string{"testdata/checkout.mmd": s.Mermaid(&i), "testdata/checkout.svg": s.SVG(&i)} {
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(file); err != nil || string(want) != got {
			t.Errorf("%s is not what is drawn now (go test -update writes it): %v\n%s", file, err, got)
		}
	}
}

// TestDiagramsEscape: no text of a definition ends a text of a diagram.
func TestDiagramsEscape(t *testing.T) {
	const wild = "a\"]; <b> & -->|x| #quot; </text>\n%%"
	s := Define("wild", 1, func(s *Steps[struct{}]) {
		s.Choose("way", When(wild, func(struct{}) bool { return true }, func(s *Steps[struct{}]) { s.Fail("end", wild, wild) }))
	})
	i := begun(t, s, nil)
	i.ID = wild
	wellFormed(t, s.SVG(&i))
	for line := range strings.Lines(s.Mermaid(&i)) {
		if n := strings.Count(line, `"`); n%2 != 0 || strings.Contains(line, "<b>") || strings.Contains(line, "#quot") {
			t.Errorf("a line of the diagram is %s", line)
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v\n%s", err, svg)
		}
	}
}
