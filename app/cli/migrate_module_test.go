package cli_test

import (
	"bytes"
	"regexp"
	"testing"
	"testing/fstest"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestModulesHaveTablesToMigrate(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	files := fstest.MapFS{
		"0001_notes.up.sql": {Data: []byte("CREATE TABLE bank_notes (id text)")}, "0001_notes.down.sql": {Data: []byte("DROP TABLE bank_notes")},
	}
	bank := app.App{Name: "bank", Modules: []app.Module{{Name: "notes", Migrations: files}}}
	for _, step := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"migrate", "status"}, 8, `recount +0 .*\n.*recount, module notes +0 +1 +true +false\n`},
		{[]string{"migrate", "up", "--module", "nots"}, 1, `module "nots" of bank has no tables of its own; those of notes have`},
		{[]string{"migrate", "up"}, 0, `migrated from version 0 to \d+\nmodule notes: migrated from version 0 to 1\n`},
		{[]string{"migrate", "status", "--output", "json"}, 0, `"modules": ?\[\s*\{[^}]*"module": ?"notes"`},
		{[]string{"migrate", "down", "--module", "notes", "--to", "0", "--yes"}, 0, `migrated from version 1 to 0`},
		{[]string{"migrate", "status"}, 8, `error: module notes in schema recount is at version 0, this program needs version 1\nhint: run bank migrate up\n`},
		{[]string{"migrate", "sql", "--module", "notes"}, 0, `CREATE TABLE bank_notes`},
		{[]string{"migrate", "force", "1", "--module", "notes", "--yes"}, 0, `module notes in schema recount counts as being at version 1`},
		{[]string{"migrate", "status"}, 0, `module notes +1 +1 +false`},
	} {
		var out bytes.Buffer
		prog := cli.New(bank)
		prog.Stdout, prog.Stderr = &out, &out
		args := step.args
		if args[1] != "sql" {
			args = append(args, "--database", db.DSN)
		}
		if code := prog.Run(t.Context(), args); code != step.code || !regexp.MustCompile(step.want).Match(out.Bytes()) {
			t.Errorf("%q = %d\n%swant %d and %s", step.args, code, out.String(), step.code, step.want)
		}
	}
}
