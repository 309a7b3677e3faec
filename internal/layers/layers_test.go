package layers

import (
	"cmp"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "github.com/57528e99/recount"

// unit is a package with those below it that have no line of their own. It
// imports only units of lower rank: tens are the layers of CONTRIBUTING.md,
// ones tell packages of a layer apart that build on each other.
type unit struct {
	path string
	rank int
}

var units = []unit{
	{"internal/failpoint", -9}, {"internal/pgerr", -10}, {"internal/pgsql", -10}, {"internal/pgsession", -9},
	{"migrations", 0}, {"internal", 0}, {"httpapi/client", 0}, {"internal/pgtest", 1},
	{"eventstore", 10}, {"security", 11}, {"security/tokens", 12}, {"domain/money", 10}, {"domain/goods", 11},
	{"domain/account", 12}, {"domain/customer", 12}, {"domain/order", 12}, {"domain/payment", 12}, {"domain/returns", 12}, {"domain/shipment", 12}, {"domain/stock", 12},
	{"eventstore/logcheck", 13}, {"eventstore/storetest", 14},
	{"eventstore/memstore", 20}, {"eventstore/pgstore", 20},
	{"delivery/pattern", 0}, {"delivery/transform", 0}, {"delivery/window", 0}, {"delivery/webhook/verify", 0}, {"operations", 30}, {"commands", 31}, {"projections", 31},
	{"delivery", 32}, {"delivery/archive", 33}, {"delivery/inbox", 33}, {"delivery/mail", 33}, {"delivery/webhook", 33}, {"delivery/targettest", 33}, {"delivery/kafka", 34}, {"delivery/nats", 34}, {"delivery/rabbitmq", 34},
	{"queries", 40}, {"snapshots", 40}, {"sagas", 41},
	{"app/hint", 50}, {"httpapi", 50}, {"httpapi/auth", 51}, {"httpapi/adminapi", 51}, {"httpapi/logapi", 51}, {"httpapi/openapi", 51}, {"app/telemetry", 51}, {"app", 52},
	{"app/cli", 53}, {"app/apptest", 53}, {"app/scaffold", 54},
	{"shop/analytics", 60}, {"shop/invariants", 60}, {"shop/inventory", 60}, {"shop/ledger", 60}, {"shop/notification", 60}, {"shop/payment", 60}, {"shop/shipping", 60}, {"examples", 60}, {"shop/checkout", 61}, {"shop", 62},
	{"tests", 70}, {"tests/bench", 71}, {"tests/chaos", 71}, {"tests/bench/peers", 72}, {"tests/trials", 72},
	{"cmd", 80}, {"scripts", 80},
}

// layer is the row of the table in CONTRIBUTING.md.
func (u unit) layer() int { return int(math.Floor(float64(u.rank) / 10)) }

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
	{"github.com/jackc/pgx", []string{"migrations", "internal", "eventstore/pgstore", "eventstore/logcheck", "app", "operations", "projections", "delivery", "queries", "security/tokens", "snapshots", "tests", "cmd"}, false,
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

// TestAServiceNeedsNoCommandLine: who has a main of their own uses package app, and gets neither the command
// line with it, nor a PostgreSQL, nor what tests need, nor clients of brokers.
func TestAServiceNeedsNoCommandLine(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", module+"/app").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	packages := strings.Fields(string(out))
	if !slices.Contains(packages, module+"/projections") {
		t.Errorf("these cannot be all packages that app imports: %q", packages)
	}
	for _, imported := range packages {
		for _, never := range []string{"testing", "github.com/spf13", module + "/app/cli", module + "/internal/pgembed", module + "/internal/pgtest",
			"github.com/nats-io", "github.com/twmb", "github.com/rabbitmq"} {
			if within(imported, never) {
				t.Errorf("app imports %s", imported)
			}
		}
	}
}

// TestTheTableOfLayersIsTheList: CONTRIBUTING.md has each unit in the row of its layer, and no
// others.
func TestTheTableOfLayersIsTheList(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	table, list := make(map[string][]string), make(map[string][]string)
	for _, row := range regexp.MustCompile(`(?m)^\| (-?\d) \|(.*)$`).FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			table[row[1]] = append(table[row[1]], name[1])
		}
		slices.Sort(table[row[1]])
	}
	for _, u := range units {
		layer := strconv.Itoa(u.layer())
		list[layer] = append(list[layer], u.path)
		slices.Sort(list[layer])
	}
	if !reflect.DeepEqual(table, list) {
		t.Errorf("by layer CONTRIBUTING.md has\n%v\nwant the units\n%v", table, list)
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
		{"shop/a.go", "tests/pgproxy", "shop may not import tests"},
		{"eventstore/pgstore/a.go", "tests/mutants", "eventstore/pgstore may not import tests"},
		{"eventstore/pgstore/a_test.go", "tests/pgproxy", ""},
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
var speakers = []string{"cmd", "app", "shop", "httpapi/adminapi", "tests", "scripts"}

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
