package scaffold

import (
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path"
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
	// place is the list that it was found by.
	place

	inserts []insertion
}

// place is where a list ends in the text, and where the last of its elements does; -1: it has none.
type place struct{ at, last int }

type insertion struct {
	at   int
	text string
}

// list finds the list that something is added to in a node, if it is there: its elements, and where it ends.
type list func(ast.Node) (elements []ast.Expr, end token.Pos, found bool)

// isCallOf finds the arguments of a call of a method.
func isCallOf(method string) list {
	return func(n ast.Node) ([]ast.Expr, token.Pos, bool) {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return nil, 0, false
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		return call.Args, call.Rparen, ok && selector.Sel.Name == method && aggregateOf(selector.X) != nil
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
	return func(n ast.Node) ([]ast.Expr, token.Pos, bool) {
		pair, ok := n.(*ast.KeyValueExpr)
		if !ok {
			return nil, 0, false
		}
		key, ok := pair.Key.(*ast.Ident)
		value, isList := pair.Value.(*ast.CompositeLit)
		if !ok || !isList || key.Name != field {
			return nil, 0, false
		}
		return value.Elts, value.Rbrace, true
	}
}

var isModules = isListOf("Modules")

// sourcesIn returns the Go files of a folder.
func sourcesIn(dir string) (all []*source, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		s := &source{path: path, fset: token.NewFileSet()}
		if s.text, err = os.ReadFile(path); err != nil {
			return nil, err
		}
		if s.file, err = parser.ParseFile(s.fset, path, s.text, parser.ParseComments); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// findIn returns the file of a folder that has the list. It must be there once.
func findIn(dir string, wanted list) (found *source, err error) {
	sources, err := sourcesIn(dir)
	if err != nil {
		return nil, err
	}
	for _, s := range sources {
		if strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		several := false
		ast.Inspect(s.file, func(n ast.Node) bool {
			if elements, end, ok := wanted(n); ok {
				several = several || found != nil
				s.place, found = place{s.offset(end), -1}, s
				if len(elements) > 0 {
					s.last = s.offset(elements[len(elements)-1].End())
				}
			}
			return true
		})
		if several {
			return nil, invalid("there are several in %s; add it by hand", dir)
		}
	}
	if found == nil {
		return nil, invalid("there is none, in the form that {program} new writes; add it by hand")
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

// declaredIn returns what the package of a folder declares, its tests included, and in which file.
func declaredIn(dir string) (files map[string]string, err error) {
	sources, err := sourcesIn(dir)
	files = make(map[string]string)
	for _, s := range sources {
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					files[d.Name.Name] = s.path
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						files[spec.Name.Name] = s.path
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							files[name.Name] = s.path
						}
					}
				}
			}
		}
	}
	return files, err
}

// noFields are types of the language that JSON is not made of.
var noFields = []string{"error", "comparable", "complex64", "complex128", "uintptr"}

// hasType reports whether a text is a type in the file: of the language, of its package, which declares names, of package time or of an import.
func (s *source) hasType(text string, declared map[string]string) bool {
	e, err := parser.ParseExpr(text)
	return err == nil && s.isType(e, declared)
}

func (s *source) isType(e ast.Expr, declared map[string]string) bool {
	switch e := e.(type) {
	case *ast.Ident:
		_, isType := types.Universe.Lookup(e.Name).(*types.TypeName)
		return isType && !slices.Contains(noFields, e.Name) || token.IsExported(e.Name) && declared[e.Name] != ""
	case *ast.StarExpr:
		return s.isType(e.X, declared)
	case *ast.ArrayType:
		return e.Len == nil && s.isType(e.Elt, declared)
	case *ast.MapType:
		key, isName := e.Key.(*ast.Ident)
		return isName && key.Name == "string" && s.isType(e.Value, declared)
	case *ast.SelectorExpr:
		of, isName := e.X.(*ast.Ident)
		return isName && (of.Name == "time" || slices.ContainsFunc(s.file.Imports, func(i *ast.ImportSpec) bool {
			return i.Name != nil && i.Name.Name == of.Name || i.Name == nil && path.Base(strings.Trim(i.Path.Value, `"`)) == of.Name
		}))
	}
	return false
}

// uses reports whether the file has an identifier.
func (s *source) uses(name string) (found bool) {
	ast.Inspect(s.file, func(n ast.Node) bool {
		id, ok := n.(*ast.Ident)
		found = found || ok && id.Name == name
		return !found
	})
	return found
}

// statementAt returns where the statement of a function's body begins that has a place in it.
func (s *source) statementAt(at int) (begin int, ok bool) {
	for _, d := range s.file.Decls {
		f, isFunc := d.(*ast.FuncDecl)
		if !isFunc || f.Body == nil {
			continue
		}
		for _, statement := range f.Body.List {
			if begin := s.offset(statement.Pos()); begin <= at && at < s.offset(statement.End()) {
				return begin, true
			}
		}
	}
	return 0, false
}

// maxColumns is how long a line may become.
const maxColumns = 100

// insert adds an element at the end of a list: on a line of its own, unless the others share one that does not
// become too long.
func (s *source) insert(to place, text string) {
	at := to.last
	switch {
	case to.last < 0:
		at, text = to.at, "\n"+text+",\n"
	case strings.Contains(string(s.text[to.last:to.at]), ","):
		at, text = to.at, text+",\n"
	case to.last-strings.LastIndexByte(string(s.text[:to.last]), '\n')+len(text) > maxColumns:
		text = ",\n" + text
	default:
		text = ", " + text
	}
	s.inserts = append(s.inserts, insertion{at, text})
}

// addImport adds an import beside others of the same folder, else behind all others, but one of the standard
// library before them.
func (s *source) addImport(name string) {
	for _, i := range s.file.Imports {
		if i.Path.Value == strconv.Quote(name) {
			return
		}
	}
	for _, d := range s.file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.IMPORT || !g.Rparen.IsValid() {
			continue
		}
		at, text := s.offset(g.Rparen), "\t"+strconv.Quote(name)+"\n"
		last := g.Specs[len(g.Specs)-1].(*ast.ImportSpec).Path.Value
		switch {
		case !strings.Contains(name, "/"):
			at, text = s.offset(g.Lparen)+1, "\n"+text
		case !strings.HasPrefix(last, `"`+path.Dir(name)+"/"):
			text = "\n" + text
		}
		s.inserts = append(s.inserts, insertion{at, text})
		return
	}
	s.inserts = append(s.inserts, insertion{s.offset(s.file.Name.End()), "\n\nimport " + strconv.Quote(name) + "\n"})
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
