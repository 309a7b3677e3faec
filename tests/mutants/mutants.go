// Package mutants has bugs to put into the product, each in a file beside this one, to see whether
// anybody notices: mistakes that somebody could make, or has made elsewhere.
//
// A file begins with fields, a line each:
//
//	What        what is wrong with the product then
//	Scenario    the scenario of package trials that shows it, or a test
//	Package     the package that has that test; optional
//	Rule        the rule that is broken there, if the mutant is caught
//	Failpoints  what RECOUNT_FAILPOINTS is during the scenario; optional
//	Harness     "yes" if short runs of the random harness (package chaos) catch it too; optional
//
// After an empty line follows a patch: "--- path" for each file of the product, "@@" for each place
// in it, with a note for the reader, and the lines there: " " stays, "-" goes, "+" comes. A place
// is found by its text, not by its number, and whatever its indentation: it must be there exactly
// once. So a patch survives all changes but those of the lines that it is about, and then it fails
// to apply.
package mutants

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Mutant is a bug that can be put into the product.
type Mutant struct {
	Patch
	// What, Scenario, Package, Rule and Failpoints are the fields of the file.
	What, Scenario, Package, Rule, Failpoints string
	// Harness says that short runs of the random harness catch it.
	Harness bool
}

// Patch is a change of the product.
type Patch struct {
	Name  string
	edits []edit
}

// edit replaces lines of a file of the product.
type edit struct {
	file     string
	old, new []string
}

//go:embed *.diff
var files embed.FS

// All returns all mutants, by name.
func All() ([]Mutant, error) {
	entries, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	all := make([]Mutant, len(entries))
	for i, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			return nil, err
		}
		if all[i], err = parse(strings.TrimSuffix(e.Name(), ".diff"), text); err != nil {
			return nil, fmt.Errorf("mutant %s: %w", e.Name(), err)
		}
	}
	return all, nil
}

// Named returns the mutants of these names, in their order.
func Named(names ...string) ([]Mutant, error) {
	some := make([]Mutant, len(names))
	for i, name := range names {
		text, err := files.ReadFile(name + ".diff")
		if err != nil {
			return nil, fmt.Errorf("there is no mutant %q", name)
		}
		if some[i], err = parse(name, text); err != nil {
			return nil, fmt.Errorf("mutant %s: %w", name, err)
		}
	}
	return some, nil
}

func parse(name string, text []byte) (Mutant, error) {
	r := bufio.NewReader(bytes.NewReader(text))
	fields, err := textproto.NewReader(r).ReadMIMEHeader()
	if err != nil {
		return Mutant{}, fmt.Errorf("read the fields: %w", err)
	}
	take := func(field string) string {
		defer delete(fields, field)
		return fields.Get(field)
	}
	m := Mutant{What: take("What"), Scenario: take("Scenario"), Package: take("Package"), Rule: take("Rule"),
		Failpoints: take("Failpoints"), Harness: take("Harness") == "yes"}
	if m.What == "" || m.Scenario == "" || m.Rule == "" || len(fields) > 0 {
		return m, fmt.Errorf("it needs the fields What, Scenario and Rule, and must not have %v", fields)
	}
	patch, err := io.ReadAll(r)
	if err != nil {
		return m, err
	}
	m.Patch, err = ParsePatch(name, string(patch))
	return m, err
}

// ParsePatch returns the patch that a text is, without fields before it.
func ParsePatch(name, patch string) (Patch, error) {
	edits, err := parseEdits(patch)
	return Patch{name, edits}, err
}

func parseEdits(patch string) (edits []edit, err error) {
	file := ""
	for line := range strings.Lines(patch) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "--- "); ok {
			file = name
			continue
		}
		if strings.HasPrefix(line, "@@") && file != "" {
			edits = append(edits, edit{file: file})
			continue
		}
		if len(edits) == 0 || edits[len(edits)-1].file != file {
			return nil, fmt.Errorf("%q stands before a line --- file and a line @@", line)
		}
		e := &edits[len(edits)-1]
		sign, text := " ", "" // an empty line
		if line != "" {
			sign, text = line[:1], line[1:]
		}
		switch sign {
		case " ":
			e.old, e.new = append(e.old, text), append(e.new, text)
		case "-":
			e.old = append(e.old, text)
		case "+":
			e.new = append(e.new, text)
		default:
			return nil, fmt.Errorf("%q begins with none of space, minus and plus", line)
		}
	}
	if len(edits) == 0 {
		return nil, fmt.Errorf("it has no patch")
	}
	return edits, nil
}

// Apply returns the files that the patch changes, as they are then, by their paths in the module,
// whose folder is root.
func (p Patch) Apply(root string) (map[string][]byte, error) {
	changed := make(map[string][]byte)
	for _, e := range p.edits {
		text, ok := changed[e.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, filepath.FromSlash(e.file))); err != nil {
				return nil, fmt.Errorf("patch %s: %w", p.Name, err)
			}
		}
		text, err := e.apply(text)
		if err != nil {
			return nil, fmt.Errorf("patch %s: %w", p.Name, err)
		}
		changed[e.file] = text
	}
	return changed, nil
}

func (e edit) apply(text []byte) ([]byte, error) {
	lines := strings.Split(string(text), "\n")
	at, found := 0, 0
	for i := range len(lines) - len(e.old) + 1 {
		if sameLines(lines[i:i+len(e.old)], e.old) {
			at, found = i, found+1
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("%s has the place %d times, want once:\n%s", e.file, found, strings.Join(e.old, "\n"))
	}
	after := append(append([]string{}, lines[:at]...), e.new...)
	return []byte(strings.Join(append(after, lines[at+len(e.old):]...), "\n")), nil
}

func sameLines(a, b []string) bool {
	for i := range a {
		if strings.TrimSpace(a[i]) != strings.TrimSpace(b[i]) {
			return false
		}
	}
	return true
}

// Overlay writes what go build needs to build the module in the folder root with the patch in it
// into the folder dir, and returns the argument for it.
func (p Patch) Overlay(root, dir string) (flag string, err error) {
	changed, err := p.Apply(root)
	if err != nil {
		return "", err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for file, text := range changed {
		as := filepath.Join(dir, p.Name+"-"+strings.ReplaceAll(path.Clean(file), "/", "-"))
		if err := os.WriteFile(as, text, 0o644); err != nil {
			return "", err
		}
		overlay.Replace[filepath.Join(root, filepath.FromSlash(file))] = as
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	name := filepath.Join(dir, p.Name+".json")
	return "-overlay=" + name, os.WriteFile(name, text, 0o644)
}
