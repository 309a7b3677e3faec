package scaffold

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"go/format"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"
	"unicode"

	"github.com/57528e99/recount/internal/rowmap"
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

// New writes a service into the folder dir, which must not be there or be empty, with one aggregate: all but
// its go.mod.
func New(dir, module, name string) error {
	if !namePattern.MatchString(name) {
		return invalid("the name %q must have lower-case letters, digits, '_' and '-', and begin with a letter", name)
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) > 0 {
		return invalid("%s is there and not empty", dir)
	}
	for path, from := range map[string]string{"main.go": "main.go", "README.md": "README.md", "Makefile": "Makefile", ".gitignore": "gitignore"} {
		if err := write(filepath.Join(dir, path), from, map[string]string{"Name": name}); err != nil {
			return err
		}
	}
	return Aggregate(dir, module, "note")
}

// Aggregate writes a package with an aggregate, its test, and adds its module to the App. Dir has package
// main, whose import path is module.
func Aggregate(dir, module, name string) error {
	if !namePattern.MatchString(name) || strings.ContainsAny(name, "-_") {
		return invalid("the aggregate %q must be a lower-case word", name)
	}
	about := map[string]string{
		"Package": name, "Category": name, "Kebab": name, "State": camel(name), "Table": name + "s", "TableName": camel(name) + "s",
		"SQLTable": name + "s", "Path": "/v1/" + name + "s",
	}
	main, err := findIn(dir, isModules)
	if err != nil {
		return fmt.Errorf("find the Modules of the App in %s: %w", dir, err)
	}
	for file, from := range map[string]string{name + ".go": "aggregate.go", name + "_test.go": "aggregate_test.go"} {
		if err := write(filepath.Join(dir, name, file), from, about); err != nil {
			return err
		}
	}
	main.insert(main.at, name+".Module()")
	main.addImport(module + "/" + name)
	return main.save()
}

// Field is a field of an event or a command.
type Field struct{ Name, Type, JSON string }

// ParseFields reads fields as NAME:TYPE, such as owner:string or amount_minor:int64.
func ParseFields(texts []string) (fields []Field, err error) {
	for _, text := range texts {
		name, typ, _ := strings.Cut(text, ":")
		if !regexp.MustCompile(`^[a-z][a-z0-9_]*$`).MatchString(name) || !regexp.MustCompile(`^[\[\]*A-Za-z0-9_.]+$`).MatchString(typ) {
			return nil, invalid("the field %q must be NAME:TYPE, such as amount_minor:int64", text)
		}
		fields = append(fields, Field{camel(name), typ, name})
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
	if f.declares(typ) {
		return invalid("%s has a %s already", f.path, typ)
	}
	var text bytes.Buffer
	if err := templates.ExecuteTemplate(&text, from+".tmpl", map[string]any{"Type": typ, "State": state, "Fields": fields, "Event": event}); err != nil {
		return err
	}
	f.insert(f.at, register(state))
	f.append(text.String())
	return f.save()
}

// Projection adds a read model, with a row for each stream, to the module in the package of a folder.
func Projection(dir, name string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`).MatchString(name) {
		return invalid("the projection %q must have lower-case letters, digits and '_', and begin with a letter", name)
	}
	f, err := findIn(dir, isCallOf("Events"))
	if err != nil {
		return fmt.Errorf("find the events of the aggregate in %s: %w", dir, err)
	}
	table := camel(name)
	about := map[string]any{"Package": f.file.Name.Name, "Type": table, "Table": lowerFirst(table), "SQLTable": name, "Events": f.events()}
	if err := write(filepath.Join(dir, name+".go"), "projection.go", about); err != nil {
		return err
	}
	for _, c := range []struct {
		field, text string
	}{
		{"Projections", lowerFirst(table)},
		{"Reads", fmt.Sprintf(`app.Row("/v1/%s/{id}", %s)`, strings.ReplaceAll(name, "_", "-"), lowerFirst(table))},
	} {
		m, err := findIn(dir, isListOf(c.field))
		if err != nil {
			return fmt.Errorf("find %s of the module in %s: %w", c.field, dir, err)
		}
		m.insert(m.at, c.text)
		if err := m.save(); err != nil {
			return err
		}
	}
	return nil
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
