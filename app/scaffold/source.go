package scaffold

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// source is a Go file that something is added to, as text, so that comments and order stay.
type source struct {
	path string
	text []byte
	file *ast.File
	fset *token.FileSet
	// at is the end of the list that it was found by, and full says that the list has something in it.
	at   int
	full bool

	inserts []insertion
}

type insertion struct {
	at   int
	text string
}

// list finds the list that something is added to in a node, if it is there: where it ends, and whether it
// has anything in it.
type list func(ast.Node) (end token.Pos, full, found bool)

// isCallOf finds the arguments of a call of a method.
func isCallOf(method string) list {
	return func(n ast.Node) (token.Pos, bool, bool) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return 0, false, false
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		return call.Rparen, len(call.Args) > 0, ok && selector.Sel.Name == method && aggregateOf(selector.X) != nil
	}
}

// aggregateOf returns the call of app.NewAggregate that a chain of methods begins with; nil: none.
func aggregateOf(e ast.Expr) *ast.IndexListExpr {
	for {
		call, ok := e.(*ast.CallExpr)
		if !ok {
			return nil
		}
		switch f := call.Fun.(type) {
		case *ast.SelectorExpr:
			e = f.X
		case *ast.IndexListExpr:
			if s, ok := f.X.(*ast.SelectorExpr); ok && s.Sel.Name == "NewAggregate" {
				return f
			}
			return nil
		default:
			return nil
		}
	}
}

// isListOf finds the value of a field that is a list.
func isListOf(field string) list {
	return func(n ast.Node) (token.Pos, bool, bool) {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return 0, false, false
		}
		key, ok := pair.Key.(*ast.Ident)
		value, isList := pair.Value.(*ast.CompositeLit)
		if !ok || !isList || key.Name != field {
			return 0, false, false
		}
		return value.Rbrace, len(value.Elts) > 0, true
	}
}

var isModules = isListOf("Modules")

// findIn returns the file of a folder that has the list. It must be there once.
func findIn(dir string, wanted list) (found *source, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		s := &source{path: path, fset: token.NewFileSet()}
		if s.text, err = os.ReadFile(path); err != nil {
			return nil, err
		}
		if s.file, err = parser.ParseFile(s.fset, path, s.text, parser.ParseComments); err != nil {
			return nil, err
		}
		several := false
		ast.Inspect(s.file, func(n ast.Node) bool {
			if end, full, ok := wanted(n); ok {
				several = several || found != nil
				s.at, s.full, found = s.offset(end), full, s
			}
			return true
		})
		if several {
			return nil, invalid("there are several in %s; add it by hand", dir)
		}
	}
	if found == nil {
		return nil, invalid("there is none, in the form that recount new writes; add it by hand")
	}
	return found, nil
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

// state is the name of the aggregate's state.
func (s *source) state() (name string, err error) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if call, ok := n.(ast.Expr); ok {
			if of := aggregateOf(call); of != nil && name == "" {
				name = string(s.text[s.offset(of.Indices[0].Pos()):s.offset(of.Indices[0].End())])
			}
		}
		return true
	})
	if name == "" {
		return "", invalid("%s has no aggregate", s.path)
	}
	return name, nil
}

// events are the types of the events of the aggregate.
func (s *source) events() (types []string) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		if f, ok := n.(*ast.IndexExpr); ok {
			if selector, ok := f.X.(*ast.SelectorExpr); ok && selector.Sel.Name == "Event" {
				types = append(types, string(s.text[s.offset(f.Index.Pos()):s.offset(f.Index.End())]))
			}
		}
		return true
	})
	return types
}

// declares reports whether the file has a type.
func (s *source) declares(typ string) (found bool) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		found = found || ok && spec.Name.Name == typ
		return !found
	})
	return found
}

// insert adds an element at the end of the list.
func (s *source) insert(at int, text string) {
	before := strings.TrimRight(string(s.text[:at]), " \t\n")
	switch {
	case s.full && strings.HasSuffix(before, ","):
		text += ",\n"
	case s.full:
		text = ", " + text
	}
	if s.full && !strings.HasSuffix(before, ",") {
		at = len(before)
	}
	s.inserts = append(s.inserts, insertion{at, text})
}

func (s *source) addImport(path string) {
	for _, i := range s.file.Imports {
		if i.Path.Value == strconv.Quote(path) {
			return
		}
	}
	for _, d := range s.file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.IMPORT && g.Rparen.IsValid() {
			s.inserts = append(s.inserts, insertion{s.offset(g.Rparen), "\n\t" + strconv.Quote(path) + "\n"})
			return
		}
	}
	s.inserts = append(s.inserts, insertion{s.offset(s.file.Name.End()), "\n\nimport " + strconv.Quote(path) + "\n"})
}

// append adds text at the end of the file.
func (s *source) append(text string) { s.inserts = append(s.inserts, insertion{len(s.text), text}) }

// save writes the file, formatted.
func (s *source) save() error {
	slices.SortStableFunc(s.inserts, func(a, b insertion) int { return b.at - a.at })
	text := string(s.text)
	for _, i := range s.inserts {
		text = text[:i.at] + i.text + text[i.at:]
	}
	formatted, err := format.Source([]byte(text))
	if err != nil {
		return fmt.Errorf("add to %s: %w", s.path, err)
	}
	return os.WriteFile(s.path, formatted, 0o644)
}
