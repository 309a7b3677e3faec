package main

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
)

// The test binary is the program as well, in the path as recount: tests that need a process run it,
// with the race detector if they have it.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"recount": main})
}

type tests struct{ m *testing.M }

// Run implements testscript.TestingM.
func (t tests) Run() int { return pgtest.Run(t.m) }

// TestScripts runs the scripts of testdata. Besides the standard commands they have
//
//	exits CODE recount ARG...   runs the program and wants an exit code
//	database [empty]            makes a database, migrated unless empty, and puts it into $DATABASE_URL
//	append STREAM TYPE DATA     appends an event to the log in $DATABASE_URL
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("RECOUNT_DATA", env.WorkDir+"/.recount")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":    exits,
			"database": func(ts *testscript.TestScript, _ bool, args []string) { newDatabase(t, ts, args) },
			"append":   func(ts *testscript.TestScript, _ bool, args []string) { appendEvent(t, ts, args) },
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || args[1] != "recount" {
		ts.Fatalf("usage: exits CODE recount ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	a := &app{stdin: strings.NewReader(""), stdout: ts.Stdout(), stderr: ts.Stderr(), getenv: ts.Getenv}
	if got := a.run(context.Background(), args[2:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func newDatabase(t *testing.T, ts *testscript.TestScript, args []string) {
	create := pgtest.New
	if len(args) == 1 && args[0] == "empty" {
		create = pgtest.NewEmpty
	}
	ts.Setenv("DATABASE_URL", create(t).DSN)
}

func appendEvent(t *testing.T, ts *testscript.TestScript, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: append STREAM TYPE DATA")
	}
	pool, err := openPool(t.Context(), ts.Getenv("DATABASE_URL"), 2)
	ts.Check(err)
	defer pool.Close()
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: pool})
	ts.Check(err)
	_, err = store.Append(t.Context(), eventstore.StreamAppend{
		Stream: args[0], Events: []eventstore.Event{{Type: args[1], Data: []byte(args[2])}},
	}, eventstore.AppendOptions{})
	ts.Check(err)
	ts.Check(closeStore(t.Context(), store))
}
