package scaffold

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
	"unicode"

	"github.com/57528e99/recount/internal/rowmap"
	"github.com/57528e99/recount/migrations"
)

//go:embed templates
var files embed.FS

var templates = template.Must(template.ParseFS(files, "templates/*"))

// ErrInvalid is matched by errors for what cannot be written as it was asked for.
var ErrInvalid = errors.New("cannot be made")

func invalid(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInvalid)...)
}

var (
	namePattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}$`)
	typePattern = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{0,47}$`)
)

// taken are names that templates use, beside those of the language, and folders and packages that the go command skips:
// an aggregate of such a name would not compile.
var taken = []string{
	"aggregate", "app", "apptest", "cli", "create", "created", "documentation", "errors", "event", "http", "httpapi", "init", "internal",
	"main", "module", "projections", "row", "rows", "service", "test", "testdata", "testing", "time", "vendor",
}

// engines are names of tables, and of routes, that there are without a service's own.
var engines = sync.OnceValues(func() ([]string, error) {
	names := []string{"schema_migrations", "commands", "patterns", "transforms", "routes", "webhooks"}
	text, err := migrations.SQL(migrations.DefaultSchema, 0, migrations.Latest())
	for _, made := range regexp.MustCompile(`(?:CREATE (?:TABLE|VIEW|SEQUENCE)|RENAME TO) (\w+)`).FindAllStringSubmatch(text, -1) {
		names = append(names, made[1])
	}
	return names, err
})

// checkTable returns an error for a name of a read model that Recount has a table or a route of.
func checkTable(name string) error {
	names, err := engines()
	if err == nil && (slices.Contains(names, name) || strings.HasPrefix(name, "snapshots_")) {
		err = invalid("Recount has %s of its own; take another name", name)
	}
	return err
}

// ofGo are the roots of the standard library's import paths, and names that the go command has for something:
// packages of a module that is called so would not be found, or others in their place.
var ofGo = strings.Fields(`
	all cmd internal main std test testdata tool vendor work
	archive arena bufio builtin bytes cmp compress container context crypto database debug embed encoding errors
	expvar flag fmt go hash html image index io iter log maps math mime net os path plugin reflect regexp runtime
	simd slices sort strconv strings structs sync syscall testing text time unicode unique unsafe weak`)

// isTaken reports whether a name cannot be that of a package or a variable in what templates write.
func isTaken(name string) bool {
	return token.IsKeyword(name) || types.Universe.Lookup(name) != nil || slices.Contains(taken, name)
}

// New writes a service into the folder dir, which must not be there or be empty, with one aggregate. Complete
// adds what is missing, such as go.mod, in the folder that it is given: dir is there when all was done, or not
// at all.
func New(dir, module, name string, complete func(dir string) error) (err error) {
	if !namePattern.MatchString(name) {
		return invalid("the name %q must have lower-case letters, digits, '_' and '-', and begin with a letter", name)
	}
	root, _, _ := strings.Cut(module, "/")
	for _, taken := range []string{name, root} {
		if token.IsKeyword(taken) || slices.Contains(ofGo, taken) {
			return invalid("%q means something to the go command or the language; take another name", taken)
		}
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return invalid("%s is there and not empty", dir)
	}
	making, err := os.MkdirTemp(filepath.Dir(dir), ".new-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(making)) }() // it is gone if it was renamed
	for path, from := range map[string]string{"main.go": "main.go", "README.md": "README.md", "Makefile": "Makefile", ".gitignore": "gitignore"} {
		if err := write(filepath.Join(making, path), from, map[string]string{"Name": name}); err != nil {
			return err
		}
	}
	if err := Aggregate(making, module, "note"); err != nil {
		return err
	}
	if err := complete(making); err != nil {
		return err
	}
	if err := os.Chmod(making, 0o755); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(making, dir)
}

// Aggregate writes a package with an aggregate, its test, and adds its module to the App. Dir has package
// main, whose import path is path.
func Aggregate(dir, path, name string) error {
	if !namePattern.MatchString(name) || strings.ContainsAny(name, "-_") {
		return invalid("the aggregate %q must be a lower-case word", name)
	}
	if isTaken(name) || isTaken(name+"s") {
		return invalid("%q means something in the Go that an aggregate is written in; take another name", name)
	}
	if err := checkTable(name + "s"); err != nil {
		return err
	}
	about := map[string]string{
		"Package": name, "Category": name, "Kebab": name, "State": camel(name), "Variable": name + "s", "TableName": camel(name) + "s",
		"SQLTable": name + "s", "Path": "/v1/" + name + "s",
	}
	main, err := findIn(dir, isModules)
	if err != nil {
		return fmt.Errorf("find the Modules of the App in %s: %w", dir, err)
	}
	if main.uses(name) {
		return invalid("%s has a %s already", main.path, name)
	}
	if err := os.Mkdir(filepath.Join(dir, name), 0o755); errors.Is(err, fs.ErrExist) {
		return invalid("%s is there already", filepath.Join(dir, name))
	} else if err != nil {
		return err
	}
	for file, from := range map[string]string{name + ".go": "aggregate.go", name + "_test.go": "aggregate_test.go"} {
		if err := write(filepath.Join(dir, name, file), from, about); err != nil {
			return err
		}
	}
	main.insert(main.place, name+".Module()")
	main.addImport(path + "/" + name)
	return main.save()
}

// Field is a field of an event or a command.
type Field struct{ Name, Type, JSON string }

// FieldTypes says what a TYPE of a field may be.
const FieldTypes = "string, bool, a number of Go such as int64 or float64, time, or a type of the package or of one that its file imports; " +
	"also behind [], * or map[string]"

var (
	fieldName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	fieldType = regexp.MustCompile(`^[\[\]*A-Za-z0-9_.]+$`)
	timeAlone = regexp.MustCompile(`(^|[\]*])time$`)
)

// ParseFields reads fields as NAME:TYPE, such as owner:string or amount_minor:int64. The type time is time.Time.
func ParseFields(texts []string) (fields []Field, err error) {
	for _, text := range texts {
		name, typ, _ := strings.Cut(text, ":")
		_, err := parser.ParseExpr(typ)
		if !fieldName.MatchString(name) || !fieldType.MatchString(typ) || err != nil {
			return nil, invalid("the field %q must be NAME:TYPE, such as amount_minor:int64; a TYPE is %s", text, FieldTypes)
		}
		typ = timeAlone.ReplaceAllString(typ, "${1}time.Time")
		f := Field{camel(name), typ, name}
		if slices.Contains([]string{"At", "Decide", "Evolve"}, f.Name) || slices.ContainsFunc(fields, func(o Field) bool { return o.Name == f.Name }) {
			return nil, invalid("the field %q would be a second %s", text, f.Name)
		}
		fields = append(fields, f)
	}
	return fields, nil
}

// Event adds an event type to the aggregate in the package of a folder.
func Event(dir, typ string, fields []Field) error {
	return addType(dir, typ, "event", "Events", fields, "", func(state string) string {
		return fmt.Sprintf("app.Event[%s](%q, 1)", typ, state+typ)
	})
}

// Command adds a command type to the aggregate in the package of a folder, which causes an event; "": none.
func Command(dir, typ, event string, fields []Field) error {
	return addType(dir, typ, "command", "Commands", fields, event, func(string) string {
		return fmt.Sprintf("app.Do[%s](%q)", typ, strings.ReplaceAll(rowmap.SnakeCase(typ), "_", "-"))
	})
}

func addType(dir, typ, from, method string, fields []Field, event string, register func(state string) string) error {
	if !typePattern.MatchString(typ) {
		return invalid("the type %q must begin with a capital, and have letters and digits", typ)
	}
	f, err := findIn(dir, isCallOf(method))
	if err != nil {
		return fmt.Errorf("find the %s of the aggregate in %s: %w", method, dir, err)
	}
	state, err := f.state()
	if err != nil {
		return err
	}
	declared, err := declaredIn(dir)
	switch {
	case err != nil:
		return err
	case declared[typ] != "":
		return invalid("%s has a %s already", declared[typ], typ)
	case event != "" && declared[event] == "":
		return invalid("there is no event %s in %s; add it first", event, dir)
	}
	for _, field := range fields {
		if !f.hasType(field.Type, declared) {
			return invalid("the field %s: %s is no type in %s; a TYPE is %s", field.JSON, field.Type, f.path, FieldTypes)
		}
	}
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, from+".tmpl", map[string]any{"Type": typ, "State": state, "Fields": fields, "Event": event}); err != nil {
		return err
	}
	f.insert(f.place, register(state))
	f.addImport("time")
	f.append(text.String())
	return f.save()
}

// Projection adds a read model, with a row for each stream, to the module in the package of a folder.
func Projection(dir, name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`).MatchString(name) {
		return invalid("the projection %q must have lower-case letters, digits and '_', and begin with a letter", name)
	}
	if err := checkTable(name); err != nil {
		return err
	}
	f, err := findIn(dir, isCallOf("Events"))
	if err != nil {
		return fmt.Errorf("find the events of the aggregate in %s: %w", dir, err)
	}
	projections, err := findIn(dir, isListOf("Projections"))
	if err != nil {
		return fmt.Errorf("find the Projections of the module in %s: %w", dir, err)
	}
	reads, err := findIn(dir, isListOf("Reads"))
	if err != nil {
		return fmt.Errorf("find the Reads of the module in %s: %w", dir, err)
	}
	statement, ok := projections.statementAt(projections.at)
	if other, _ := reads.statementAt(reads.at); !ok || reads.path != projections.path || other != statement {
		return invalid("the Projections and Reads of the module in %s are not in one statement of a function; add it by hand", dir)
	}
	fold := camel(name)
	variable := lowerFirst(fold)
	declared, err := declaredIn(dir)
	if err != nil {
		return err
	}
	for _, made := range []string{fold + "Row", "new" + fold} {
		if declared[made] != "" {
			return invalid("%s has a %s already", declared[made], made)
		}
	}
	if isTaken(variable) || projections.uses(variable) {
		return invalid("%q means something in %s; take another name", variable, projections.path)
	}
	about := map[string]any{"Package": f.file.Name.Name, "Type": fold, "SQLTable": name, "Events": f.events()}
	// Without '_', whose last word the go command may take for a system that the file is for.
	if err := write(filepath.Join(dir, strings.ReplaceAll(name, "_", "")+".go"), "projection.go", about); err != nil {
		return err
	}
	projections.inserts = append(projections.inserts, insertion{statement, variable + " := new" + fold + "()\n"})
	projections.insert(projections.place, variable)
	projections.insert(reads.place, fmt.Sprintf(`app.Row("/v1/%s/{id}", %s)`, strings.ReplaceAll(name, "_", "-"), variable))
	return projections.save()
}

// write makes a file of a template. One that is there stays.
func write(path, from string, about any) error {
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, from+".tmpl", about); err != nil {
		return err
	}
	data := text.Bytes()
	if strings.HasSuffix(path, ".go") {
		var err error
		if data, err = format.Source(data); err != nil {
			return fmt.Errorf("format %s: %w", path, err)
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return invalid("%s is there already", path)
	}
	if err != nil {
		return err
	}
	_, err = out.Write(data)
	return cmp.Or(err, out.Close())
}

// camel returns a name as that of a Go type.
func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' }) {
		if word == "id" {
			b.WriteString("ID")
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

func lowerFirst(name string) string {
	r := []rune(name)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}
