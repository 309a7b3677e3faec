package app_test

import (
	"errors"
	"io/fs"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

// withTables returns an App whose module has files, and no more.
func withTables(name string, files map[string]string) app.App {
	m := make(fstest.MapFS)
	for name, sql := range files {
		m[name] = &fstest.MapFile{Data: []byte(sql)}
	}
	return app.App{Name: name, Modules: []app.Module{{Name: "notes", Migrations: fs.FS(m)}}}
}

func TestAppsInOneSchemaHaveTheirOwnTables(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	first := map[string]string{"0001_notes.up.sql": "CREATE TABLE wallet_notes (id text)"}
	wallet := withTables("wallet", first)
	bank := withTables("bank", map[string]string{
		"0001_notes.up.sql": "CREATE TABLE bank_notes (id text)", "0001_notes.down.sql": "DROP TABLE bank_notes",
	})
	latest := migrations.Latest()
	for _, step := range []struct {
		app  app.App
		want []app.Migrated
	}{
		{wallet, []app.Migrated{{Move: migrations.Move{From: 0, To: latest}}, {Module: "notes", Move: migrations.Move{From: 0, To: 1}}}},
		{bank, []app.Migrated{{Move: migrations.Move{From: latest, To: latest}}, {Module: "notes", Move: migrations.Move{From: 0, To: 1}}}},
		{bank, []app.Migrated{{Move: migrations.Move{From: latest, To: latest}}, {Module: "notes", Move: migrations.Move{From: 1, To: 1}}}},
	} {
		if got, err := step.app.MigrateUp(ctx, db.DSN, db.Schema); err != nil || !reflect.DeepEqual(got, step.want) {
			t.Errorf("MigrateUp of %s = %+v, %v; want %+v", step.app.Name, got, err, step.want)
		}
	}
	if _, err := db.Pool.Exec(ctx, `SELECT FROM recount.wallet_notes, recount.bank_notes`); err != nil {
		t.Errorf("the tables of both: %v", err)
	}

	first["0002_more.up.sql"] = "ALTER TABLE wallet_notes ADD text text"
	newer := withTables("wallet", first)
	var behind *migrations.BehindError
	if err := newer.CheckMigrated(ctx, db.DSN, db.Schema); !errors.As(err, &behind) || behind.Module != "notes" || behind.Latest != 2 {
		t.Errorf("CheckMigrated = %v, want that the tables of notes are behind", err)
	}
	set, err := bank.MigrationsOf("notes")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.Down(ctx, db.DSN, db.Schema, 0); err != nil {
		t.Error(err)
	}
	if err := errors.Join(wallet.CheckMigrated(ctx, db.DSN, db.Schema), bank.CheckMigrated(ctx, db.DSN, db.Schema)); !errors.As(err, &behind) || behind.Current != 0 {
		t.Errorf("CheckMigrated = %v, want that bank's tables are gone, and wallet's are not", err)
	}
	script, err := set.SQL(db.Schema, 0, 1)
	if err != nil {
		t.Fatal(err)
	}
	conn := db.Connect(t)
	if _, err := conn.Exec(ctx, script); err != nil {
		t.Errorf("run the script: %v", err)
	}
	if err := bank.CheckMigrated(ctx, db.DSN, db.Schema); err != nil {
		t.Errorf("CheckMigrated after the script = %v", err)
	}
}

func TestMigrationsThatCannotBeAreMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		app  app.App
		want string
	}{
		{withTables("wallet", map[string]string{"0001_a.up.sql": "", "0002_b.up.sql": "", "README": ""}), ""},
		{withTables("wallet", nil), "there is no file NNNN_name.up.sql"},
		{withTables("wallet", map[string]string{"0001_a.up.sql": "", "notes.sql": ""}), "notes.sql is not called NNNN_name.up.sql"},
		{withTables("wallet", map[string]string{"0001_a.up.sql": "", "0003_c.up.sql": ""}), "0003_c.up.sql is number 2"},
		{withTables("wallet", map[string]string{"0001_a.up.sql": "", "0001_b.up.sql": ""}), "is number 2"},
		{withTables(strings.Repeat("a", 48), map[string]string{"0001_a.up.sql": ""}), "more than 51 bytes together"},
	} {
		if err := c.app.Check(); (c.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("Check() = %v, want %q", err, c.want)
		}
	}
}
