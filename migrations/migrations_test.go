package migrations_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgsql"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// files makes a set of migrations from pairs of a name, without .sql, and a content.
func files(pairs ...string) migrations.Set {
	m := fstest.MapFS{"README.md": &fstest.MapFile{}}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]+".sql"] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return migrations.NewSet(m)
}

var twoTables = files(
	"0001_a.up", `CREATE TABLE a (x int); INSERT INTO a VALUES (1);`,
	"0001_a.down", `DROP TABLE a;`,
	"0002_b.up", `CREATE TABLE b AS SELECT x FROM a;`,
	"0002_b.down", `DROP TABLE b;`)

func TestUpAndDownWithTheRealFiles(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	all := migrations.Move{From: 0, To: migrations.Latest()}
	for range 2 { // down leaves nothing that a second up would trip over
		if got, err := migrations.Up(ctx, db.DSN, db.Schema); err != nil || got != all {
			t.Fatalf("Up = %+v, %v, want %+v", got, err, all)
		}
		if got, err := migrations.Up(ctx, db.DSN, db.Schema); err != nil || got.From != all.To || got.To != all.To {
			t.Errorf("Up again = %+v, %v, want to stay at %d", got, err, all.To)
		}
		want := migrations.State{Current: all.To, Latest: all.To}
		if got, err := migrations.Status(ctx, db.DSN, db.Schema); err != nil || got != want || got.Pending() {
			t.Errorf("Status = %+v, %v, want %+v", got, err, want)
		}
		for v := migrations.Latest(); v > 0; v-- {
			if _, err := migrations.Down(ctx, db.DSN, db.Schema, v-1); err != nil {
				t.Fatalf("Down to %d: %v", v-1, err)
			}
		}
		if left := objects(t, db); len(left) > 0 {
			t.Errorf("after Down there is %q", left)
		}
	}
}

// objects lists what is in the schema apart from the version table.
func objects(t *testing.T, db *pgtest.DB) []string {
	t.Helper()
	rows, err := db.Pool.Query(t.Context(), `
		SELECT relname::text FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relname NOT LIKE 'schema_migrations%'
		UNION ALL SELECT proname::text FROM pg_proc WHERE pronamespace = $1::text::regnamespace
		ORDER BY 1`, pgsql.Name(db.Schema))
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// TestRightsFollowTheOldName: a program of before may have another role than the one that migrates.
func TestRightsFollowTheOldName(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.New(t)
	if _, err := migrations.Down(ctx, db.DSN, db.Schema, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Pool.Exec(ctx, `GRANT SELECT, UPDATE ON recount.projection_operations TO pg_monitor`); err != nil {
		t.Fatal(err)
	}
	if _, err := migrations.Up(ctx, db.DSN, db.Schema); err != nil {
		t.Fatal(err)
	}
	for right, want := range map[string]bool{"SELECT": true, "UPDATE": true, "DELETE": false} {
		var has bool
		err := db.Pool.QueryRow(ctx, `SELECT has_table_privilege('pg_monitor', 'recount.projection_operations', $1)`, right).Scan(&has)
		if err != nil || has != want {
			t.Errorf("the right to %s = %v, %v; want %v", right, has, err, want)
		}
	}
}

func TestStatusChangesNothing(t *testing.T) {
	t.Parallel()
	db := pgtest.NewEmpty(t)
	want := migrations.State{Current: 0, Latest: 2}
	if got, err := twoTables.Status(t.Context(), db.DSN, "other"); err != nil || got != want || !got.Pending() {
		t.Errorf("Status of an empty database = %+v, %v, want %+v", got, err, want)
	}
	var schemas int
	if err := db.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_namespace WHERE nspname = 'other'`).Scan(&schemas); err != nil || schemas != 0 {
		t.Errorf("Status left %d schemas, %v", schemas, err)
	}
}

func TestConcurrentFirstStarts(t *testing.T) {
	t.Parallel()
	const starters = 8
	db := pgtest.NewEmpty(t)
	results := make(chan error)
	var migrated atomic.Int32
	for range starters {
		go func() {
			got, err := migrations.Up(t.Context(), db.DSN, db.Schema)
			if err == nil && got.To != migrations.Latest() {
				err = errors.New("not at the latest version")
			}
			if got.From == 0 {
				migrated.Add(1)
			}
			results <- err
		}()
	}
	for range starters {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if n := migrated.Load(); n != 1 {
		t.Errorf("%d of %d say that they have migrated from version 0, want 1", n, starters)
	}
}

func TestSchemasOfOneDatabaseAreApart(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	for _, schema := range []string{"recount", `we"ird; DROP TABLE a --`, "Größe", "select"} {
		if _, err := twoTables.Up(ctx, db.DSN, schema); err != nil {
			t.Fatalf("Up in %q: %v", schema, err)
		}
		var rows int
		err := db.Pool.QueryRow(ctx, `SELECT count(*) FROM `+pgsql.Name(schema, "b")).Scan(&rows)
		if err != nil || rows != 1 {
			t.Errorf("table in %q has %d rows, %v", schema, rows, err)
		}
	}
	for _, schema := range []string{"", "pg_mine", "a\x00b", strings.Repeat("x", 64)} {
		if _, err := twoTables.Up(ctx, db.DSN, schema); err == nil {
			t.Errorf("Up in %q succeeded", schema)
		}
	}
}

func TestDownRefusesToGoUp(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	if _, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil {
		t.Fatal(err)
	}
	if got, err := twoTables.Down(ctx, db.DSN, db.Schema, 1); err != nil || got != (migrations.Move{From: 2, To: 1}) {
		t.Errorf("Down to 1 = %+v, %v", got, err)
	}
	if got, err := twoTables.Down(ctx, db.DSN, "nothing", 0); err != nil || got != (migrations.Move{}) {
		t.Errorf("Down of a schema that is not there = %+v, %v, want nothing to do", got, err)
	}
	if _, err := twoTables.Down(ctx, db.DSN, db.Schema, 2); err == nil || strings.Contains(err.Error(), "from version 1 to 1") {
		t.Errorf("Down from 1 to 2: %v, want an error that says so", err)
	}
}

func TestRefusedFileIsRolledBackAndCanBeRepaired(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	broken := files("0001_a.up", `CREATE TABLE a (x int);`, "0002_b.up", `CREATE TABLE b (); SELECT 1/0;`)
	if _, err := broken.Up(ctx, db.DSN, db.Schema); err == nil || !strings.Contains(err.Error(), "division by zero") {
		t.Fatalf("Up with a broken file = %v", err)
	}
	want := migrations.State{Current: 1, Latest: 2}
	if got, err := broken.Status(ctx, db.DSN, db.Schema); err != nil || got != want {
		t.Errorf("Status after it = %+v, %v, want %+v", got, err, want)
	}
	if got, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil || got != (migrations.Move{From: 1, To: 2}) {
		t.Errorf("Up with the file repaired = %+v, %v", got, err)
	}
}

// TestCutOffMigrationLeavesNothing: whoever comes next begins where it began.
func TestCutOffMigrationLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	cut := files("0001_a.up", `CREATE TABLE a (x int);`, "0002_b.up", `CREATE TABLE b (); SELECT pg_terminate_backend(pg_backend_pid());`)
	if _, err := cut.Up(ctx, db.DSN, db.Schema); err == nil {
		t.Fatal("Up succeeded on a connection that was cut")
	}
	want := migrations.State{Current: 1, Latest: 2}
	if got, err := twoTables.Status(ctx, db.DSN, db.Schema); err != nil || got != want {
		t.Errorf("Status = %+v, %v, want %+v", got, err, want)
	}
	if got, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil || got != (migrations.Move{From: 1, To: 2}) {
		t.Errorf("Up = %+v, %v", got, err)
	}
}

// TestDirtySchemaWaitsForAnOperator: programs of before wrote the version beside the file.
func TestDirtySchemaWaitsForAnOperator(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	if _, err := files("0001_a.up", `SELECT 1`).Up(ctx, db.DSN, db.Schema); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, db.DSN)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, `UPDATE `+pgsql.Name(db.Schema, "schema_migrations")+` SET dirty = true`); err != nil {
		t.Fatal(err)
	}
	_, err = twoTables.Up(ctx, db.DSN, db.Schema)
	var dirty *migrations.DirtyError
	if !errors.As(err, &dirty) || dirty.Version != 1 || dirty.Schema == "" {
		t.Fatalf("Up = %v, want a DirtyError with a way out", err)
	}
	if err := twoTables.Force(ctx, db.DSN, db.Schema, 0); err != nil {
		t.Fatal(err)
	}
	if got, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil || got.To != 2 {
		t.Errorf("Up after Force = %+v, %v", got, err)
	}
	if err := twoTables.Force(ctx, db.DSN, db.Schema, 3); err == nil {
		t.Error("Force to an unknown version succeeded")
	}
}

func TestOlderBinaryLeavesNewerTablesAlone(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	if _, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil {
		t.Fatal(err)
	}
	older := files("0001_a.up", `CREATE TABLE a ();`, "0001_a.down", `DROP TABLE a;`)
	_, err := older.Up(ctx, db.DSN, db.Schema)
	var newer *migrations.NewerError
	if !errors.As(err, &newer) || newer.Current != 2 || newer.Latest != 1 {
		t.Errorf("Up of an older binary = %v, want a NewerError", err)
	}
	if _, err := older.Down(ctx, db.DSN, db.Schema, 0); !errors.As(err, &newer) {
		t.Errorf("Down of an older binary = %v, want a NewerError", err)
	}
}

func TestScriptDoesWhatUpAndDownDo(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	for _, step := range []struct{ from, to uint }{{0, 1}, {1, 2}, {2, 0}, {0, 2}} {
		script, err := twoTables.SQL(db.Schema, step.from, step.to)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := pgx.Connect(ctx, db.DSN)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(ctx, script)
		conn.Close(context.WithoutCancel(ctx))
		if err != nil {
			t.Fatalf("%v\n%s", err, script)
		}
		if got, err := twoTables.Status(ctx, db.DSN, db.Schema); err != nil || got.Current != step.to || got.Dirty {
			t.Errorf("Status after the script from %d to %d = %+v, %v", step.from, step.to, got, err)
		}
	}
	if got, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil || got != (migrations.Move{From: 2, To: 2}) {
		t.Errorf("Up after the scripts = %+v, %v, want nothing to do", got, err)
	}
	if script, err := twoTables.SQL(db.Schema, 2, 2); err != nil || script != "" {
		t.Errorf("SQL from 2 to 2 = %q, %v", script, err)
	}
	if _, err := twoTables.SQL(db.Schema, 0, 3); err == nil {
		t.Error("SQL to an unknown version succeeded")
	}
}

// A statement that waits for a lock makes all that come later wait behind it. So it gives up.
func TestMigrationDoesNotHoldUpWriters(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	if _, err := twoTables.Up(ctx, db.DSN, db.Schema); err != nil {
		t.Fatal(err)
	}
	reader, err := db.Pool.Begin(ctx) // a long report
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Rollback(context.WithoutCancel(ctx))
	if _, err := reader.Exec(ctx, `SELECT FROM recount.a`); err != nil {
		t.Fatal(err)
	}
	three := files("0001_a.up", "", "0002_b.up", "", "0003_c.up", `ALTER TABLE a ADD COLUMN y int;`)
	up := make(chan error, 1)
	go func() {
		_, err := three.Up(ctx, db.DSN, db.Schema)
		up <- err
	}()
	awaitBlocked(t, db)
	began := time.Now()
	if _, err := db.Pool.Exec(ctx, `INSERT INTO recount.a VALUES (2)`); err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(began); waited > 2*migrations.LockTimeout {
		t.Errorf("a writer waited %v", waited)
	}
	select {
	case err := <-up:
		t.Fatalf("Up ended while the table was in use: %v", err)
	default:
	}
	if err := reader.Rollback(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-up; err != nil {
		t.Errorf("Up after the reader had gone: %v", err)
	}
}

// awaitBlocked waits until a migration waits for a lock on a table.
func awaitBlocked(t *testing.T, db *pgtest.DB) {
	t.Helper()
	for blocked := false; !blocked; {
		err := db.Pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks
			WHERE NOT granted AND locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&blocked)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestGivesUpOnALockThatIsNeverFree(t *testing.T) {
	t.Parallel()
	ctx, db := t.Context(), pgtest.NewEmpty(t)
	holder, err := db.Pool.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Rollback(context.WithoutCancel(ctx))
	if _, err := holder.Exec(ctx, `CREATE TABLE held (); LOCK TABLE held; SELECT pg_advisory_xact_lock(1)`); err != nil {
		t.Fatal(err)
	}
	blocked := func() error {
		_, err := db.Pool.Exec(ctx, `DO $$ BEGIN SET LOCAL lock_timeout = 1; PERFORM pg_advisory_xact_lock(1); END $$`)
		return err
	}
	if err := migrations.WhileLocked(ctx, 0, blocked); !errors.Is(err, migrations.ErrLocked) {
		t.Errorf("with no patience = %v, want ErrLocked", err)
	}
	cause := errors.New("shutting down")
	cancelled, cancel := context.WithCancelCause(ctx)
	cancel(cause)
	if err := migrations.WhileLocked(cancelled, time.Hour, blocked); !errors.Is(err, cause) {
		t.Errorf("with a cancelled context = %v, want its cause", err)
	}
}

func TestNoDatabase(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://nobody@127.0.0.1:1/none", "not an address"} {
		if _, err := migrations.Up(t.Context(), dsn, "recount"); err == nil {
			t.Errorf("Up on %q succeeded", dsn)
		}
	}
}
