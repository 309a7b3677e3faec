package layers

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/57528e99/recount"

// unit is a package with those below it that have no line of their own. It
// imports only units of lower rank: tens are the layers of docs/architecture.md,
// ones tell packages of a layer apart that build on each other.
type unit struct {
	path string
	rank int
}

var units = []unit{
	{"internal/failpoint", -1}, {"internal/pgerr", -2}, {"internal/pgsql", -2}, {"internal/pgsession", -1}, {"migrations", 0}, {"internal", 0}, {"httpapi/client", 0}, {"tests/freeport", 0}, {"internal/pgtest", 1},
	{"eventstore", 10}, {"domain/money", 10}, {"domain/goods", 11}, {"domain/order", 12}, {"domain/returns", 12}, {"domain/stock", 12},
	{"eventstore/logcheck", 13}, {"eventstore/storetest", 14},
	{"eventstore/memstore", 20}, {"eventstore/pgstore", 20}, {"operations", 30},
	{"commands", 31}, {"projections", 31},
	{"queries", 40}, {"snapshots", 40},
	{"app/hint", 50}, {"httpapi", 50}, {"httpapi/adminapi", 51}, {"app/telemetry", 51},
	{"shop", 60}, {"tests", 13}, {"tests/bench", 61}, {"tests/chaos", 61}, {"tests/trials", 62},
	{"tests/bench/peers", 70}, {"cmd", 70}, {"scripts", 70}, {"docs/tour", 70},
}

// restricted says who may import something at all. It holds for tests too where
// tests says so.
var restricted = []struct {
	path  string
	by    []string
	tests bool
	why   string
}{
	{module + "/domain", []string{"domain", "shop", "tests/bench"}, true, "the engine knows nothing of the shop"},
	{module + "/shop", []string{"shop", "tests/bench", "tests/chaos", "cmd"}, true, "the engine knows nothing of the shop"},
	{"github.com/jackc/pgx", []string{"migrations", "internal", "eventstore/pgstore", "eventstore/logcheck", "app/telemetry", "operations", "projections", "queries", "snapshots", "tests", "cmd", "docs/tour"}, false,
		"the driver stays in the packages that own tables"},
	{"github.com/prometheus", []string{"app/telemetry"}, true, "the engine tells plain numbers"},
}

func TestPackagesStayInTheirLayers(t *testing.T) {
	files, err := scan(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Errorf("%d files were found, that cannot be all", len(files))
	}
	for _, v := range violations(files) {
		t.Error(v)
	}
}

// TestTheTableOfLayersIsComplete: CONTRIBUTING.md names each unit in the row of its layer.
func TestTheTableOfLayersIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range units {
		top, _, _ := strings.Cut(u.path, "/")
		if u.rank < 0 || slices.Contains([]string{"internal", "tests", "scripts", "docs"}, top) || u.path == "httpapi/client" {
			continue // rows of their own words
		}
		row := regexp.MustCompile(fmt.Sprintf(`(?m)^\| %d \|.*$`, u.rank/10)).FindString(string(text))
		if !strings.Contains(row, "`"+u.path) && !strings.Contains(row, "`"+top+"/…`") && !strings.Contains(row, "`"+path.Base(u.path)+"`") {
			t.Errorf("layer %d in CONTRIBUTING.md does not name %s", u.rank/10, u.path)
		}
	}
}

func TestViolationsAreFound(t *testing.T) {
	for _, c := range []struct {
		file, imports string
		want          string // part of the violation, "" if there is none
	}{
		{"commands/a.go", "eventstore", ""},
		{"commands/a.go", "projections", "commands may not import projections"},
		{"projections/a.go", "commands", "projections may not import commands"},
		{"commands/a.go", "httpapi", "commands may not import httpapi"},
		{"commands/commandtest/a.go", "commands", ""},
		{"eventstore/a.go", "eventstore/internal/verdict", ""},
		{"eventstore/a.go", "eventstore/memstore", "eventstore may not import eventstore/memstore"},
		{"eventstore/a_test.go", "eventstore/memstore", ""},
		{"eventstore/memstore/a.go", "eventstore/internal/verdict", ""},
		{"eventstore/memstore/a.go", "eventstore/pgstore", "eventstore/memstore may not import eventstore/pgstore"},
		{"eventstore/a.go", "domain/money", "knows nothing of the shop"},
		{"httpapi/a_test.go", "domain/order", "knows nothing of the shop"},
		{"queries/a.go", "shop", "knows nothing of the shop"},
		{"queries/a_test.go", "shop/sample", "knows nothing of the shop"},
		{"domain/order/a.go", "domain/goods", ""},
		{"domain/order/a.go", "domain/stock", "domain/order may not import domain/stock"},
		{"domain/goods/a.go", "domain/order", "domain/goods may not import domain/order"},
		{"domain/goods/a.go", "time", ""},
		{"domain/goods/a.go", "github.com/google/uuid", "standard library"},
		{"domain/goods/a_test.go", "pgregory.net/rapid", ""},
		{"domain/goods/a.go", "eventstore", "the domain uses itself"},
		{"shop/a.go", "domain/order", ""},
		{"shop/a.go", "github.com/jackc/pgx/v5", "the packages that own tables"},
		{"shop/a.go", "cmd/recount", "shop may not import cmd"},
		{"queries/a.go", "github.com/jackc/pgx/v5/pgxpool", ""},
		{"httpapi/a.go", "github.com/jackc/pgx/v5", "stays in the packages that own tables"},
		{"internal/pgtest/a.go", "migrations", ""},
		{"migrations/a.go", "internal/pgembed", "migrations may not import internal"},
		{"snapshots/a.go", "commands", ""},
		{"snapshots/a.go", "projections", ""},
		{"eventstore/logcheck/a.go", "eventstore", ""},
		{"eventstore/logcheck/a.go", "eventstore/pgstore", "eventstore/logcheck may not import eventstore/pgstore"},
		{"snapshots/a.go", "queries", "snapshots may not import queries"},
		{"novelty/a.go", "fmt", "has no layer"},
	} {
		files, err := scan(fstest.MapFS{
			c.file:                  {Data: fmt.Appendf(nil, "package a\n\nimport _ %q\n", imported(c.imports))},
			"testdata/a/ignored.go": {Data: []byte("no Go at all")},
			".git/ignored.go":       {Data: []byte("no Go at all")},
		})
		if err != nil || len(files) != 1 {
			t.Fatalf("scan = %v, %v; want one file", files, err)
		}
		found := strings.Join(violations(files), "\n")
		if (c.want == "") != (found == "") || !strings.Contains(found, c.want) {
			t.Errorf("%s that imports %s: %q, want %q", c.file, c.imports, found, c.want)
		}
	}
}

// imported returns the import path of a package of the module, or another.
func imported(name string) string {
	if _, ok := unitOf(module + "/" + name); ok {
		return module + "/" + name
	}
	return name
}

// file is a Go file, what it imports, and whether it has a command line of this program in a string.
type file struct {
	path     string
	imports  []string
	commands bool
}

// speakers may say command lines of recount.
var speakers = []string{"cmd", "app", "shop", "httpapi/adminapi", "tests", "scripts", "docs/tour"}

var commandLine = regexp.MustCompile(`(?m)^[^/\n]*["` + "`" + `][^"\n]*\brecount (dev|serve|migrate|db|import|projections|snapshots|streams|log|bench) ?[a-z]*\b`)

// scan reads all Go files, whatever system they are for.
func scan(root fs.FS) (files []file, err error) {
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{path: name, commands: commandLine.Match(source)}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// violations returns what is wrong, a line each.
func violations(files []file) (found []string) {
	for _, f := range files {
		own, ok := unitOf(module + "/" + path.Dir(f.path))
		if !ok {
			found = append(found, f.path+": the package has no layer, give it a line in units")
			continue
		}
		speaks := slices.ContainsFunc(speakers, func(allowed string) bool { return within(own.path, allowed) })
		if f.commands && !f.isTest() && !speaks {
			found = append(found, f.path+": says a command line of recount, which an edge renders: see app/hint")
		}
		for _, imported := range f.imports {
			if why := cmp.Or(f.againstRestrictions(own, imported), f.againstLayers(own, imported)); why != "" {
				found = append(found, f.path+": "+why)
			}
		}
	}
	return found
}

func (f file) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

// againstLayers returns what is wrong with an import; "" if nothing is. Tests
// may use what is above: a store in memory, a database.
func (f file) againstLayers(own unit, imported string) string {
	other, ours := unitOf(imported)
	switch {
	case f.isTest() || ours && other == own:
		return ""
	case ours && other.rank >= own.rank:
		return fmt.Sprintf("%s may not import %s, which is not in a lower layer", own.path, other.path)
	case within(own.path, "domain") && strings.Contains(imported, ".") && !strings.HasPrefix(imported, module+"/domain/"):
		return fmt.Sprintf("%s may not import %s: the domain uses itself and the standard library", own.path, imported)
	}
	return ""
}

func (f file) againstRestrictions(own unit, imported string) string {
	for _, r := range restricted {
		if !within(imported, r.path) || f.isTest() && !r.tests {
			continue
		}
		if !slices.ContainsFunc(r.by, func(allowed string) bool { return within(own.path, allowed) }) {
			return fmt.Sprintf("%s may not import %s: %s", own.path, imported, r.why)
		}
	}
	return ""
}

// unitOf returns the unit of a package of the module.
func unitOf(importPath string) (found unit, ok bool) {
	for _, u := range units {
		if within(importPath, module+"/"+u.path) && len(u.path) > len(found.path) {
			found, ok = u, true
		}
	}
	return found, ok
}

// within reports whether a path is another one or below it.
func within(name, other string) bool { return name == other || strings.HasPrefix(name, other+"/") }
