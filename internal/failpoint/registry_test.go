package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestEveryNameIsUsed finds names that stand in no list, and those that no line of the product
// uses.
func TestEveryNameIsUsed(t *testing.T) {
	declared := make(map[string]string) // names by constants
	used := make(map[string]bool)       // constants
	err := fs.WalkDir(os.DirFS("../.."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() != "." && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), "../../"+name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		if path.Dir(name) == "internal/failpoint" {
			collect(file, declared)
		} else {
			for n := range ast.Preorder(file) {
				used[ours(n)] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var listed []string
	for _, p := range points {
		listed = append(listed, string(p.Name))
	}
	slices.Sort(listed)
	if names := slices.Sorted(maps.Values(declared)); !slices.Equal(names, listed) {
		t.Errorf("constants: %q\nlisted:    %q", names, listed)
	}
	for constant := range declared {
		if !used[constant] {
			t.Errorf("nothing in the product uses failpoint.%s", constant)
		}
	}
}

// collect adds the constants of the type Point.
func collect(file *ast.File, declared map[string]string) {
	for n := range ast.Preorder(file) {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			continue
		}
		kind, ok := spec.Type.(*ast.Ident)
		if !ok || kind.Name != "Point" {
			continue
		}
		name, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		declared[spec.Names[0].Name] = name
	}
}

// ours returns the name of something of this package, as others write it.
func ours(x ast.Node) string {
	if s, ok := x.(*ast.SelectorExpr); ok {
		if pkg, ok := s.X.(*ast.Ident); ok && pkg.Name == "failpoint" {
			return s.Sel.Name
		}
	}
	return ""
}
