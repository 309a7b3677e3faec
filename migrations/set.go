package migrations

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/golang-migrate/migrate/v4/source"
)

// Set is migrations that are numbered together, and the table that says which of them were applied.
type Set struct {
	files  fs.FS
	table  string
	module string
}

var embedded = Set{files: files, table: "schema_migrations"}

// OfLog returns the migrations of the log and of everything around it: those of the package's
// functions.
func OfLog() Set { return embedded }

// maxNames is how many bytes the names of an App and of a module may have together, as parts of the
// name of a table.
const maxNames = 63 - len("migrations..")

// OfModule returns the migrations of a module of an App, for tables of its own in the schema of the
// log: files NNNN_name.up.sql and, where there is a way back, NNNN_name.down.sql in the root of
// files, numbered from 1 without gaps. What holds for the log's holds for them: each is run in one
// transaction, names no schema, and is not edited once it was released.
func OfModule(app, module string, files fs.FS) (Set, error) {
	s := Set{files: files, table: "migrations." + app + "." + module, module: module}
	return s, s.check(app)
}

// Module is the module whose tables they make; empty: they are the log's.
func (s Set) Module() string { return s.module }

func (s Set) check(app string) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("migrations of module %q: "+format, append([]any{s.module}, args...)...)
	}
	if len(app)+len(s.module) > maxNames {
		return fail("the names of the App and the module have more than %d bytes together", maxNames)
	}
	names, err := fs.Glob(s.files, "*.sql")
	if err != nil {
		return fail("%w", err)
	}
	var mistakes []error
	for _, name := range names {
		if _, err := source.DefaultParse(name); err != nil {
			mistakes = append(mistakes, fail("%s is not called NNNN_name.up.sql or NNNN_name.down.sql", name))
		}
		sql, err := fs.ReadFile(s.files, name)
		if err != nil {
			mistakes = append(mistakes, fail("%w", err))
		} else if says := transactionIn(string(sql)); says != "" {
			mistakes = append(mistakes, fail("%s says %q: a file is run in one transaction, which it must not begin or end, nor need to be without", name, says))
		}
	}
	ups := s.list(source.Up)
	if len(ups) == 0 {
		mistakes = append(mistakes, fail("there is no file NNNN_name.up.sql in the root"))
	}
	for i, f := range ups {
		if f.version != uint(i+1) {
			mistakes = append(mistakes, fail("%s is number %d; files are numbered from 1, each once and without gaps", f.name, i+1))
			break
		}
	}
	return errors.Join(mistakes...)
}
