package main

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/app/cli/archivecli"
	"github.com/57528e99/recount/app/scaffold"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/eventstore/pgstore"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/shop/shopcli"
	"github.com/57528e99/recount/tests/bench/benchcli"
)

// The test binary is the program as well, in the path as recount: tests that need a process run it,
// with the race detector if they have it.
func TestMain(m *testing.M) {
	testscript.Main(tests{m}, map[string]func(){"recount": main})
}

type tests struct{ m *testing.M }

// program is the command line of the shop, on other streams than those of the process.
func program(p cli.Program) *cli.Program {
	p.App, p.Extensions = theShop(), []cli.Extension{shopcli.Extension(), archivecli.Extension(), scaffold.Extension(), benchcli.Extension(), inboxes()}
	return &p
}

// Run implements testscript.TestingM.
func (t tests) Run() int { return pgtest.Run(t.m) }

// TestScripts runs the scripts of testdata. Besides the standard commands they have
//
//	exits CODE recount ARG...   runs the program and wants an exit code; with a last ARG <FILE that is stdin
//	database [empty]            makes a database, migrated unless empty, and puts it into $DATABASE_URL
//	append STREAM TYPE DATA     appends an event to the log in $DATABASE_URL
//	project                     serves until all projections have come to the end of the log
//	server ARG...               serves until the script ends; the address is in $SERVER
//	stopped NAME POSITION       waits until a projection has stopped on the event at a position, or stands aside before it
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
			"project":  func(ts *testscript.TestScript, _ bool, _ []string) { project(t, ts) },
			"server":   func(ts *testscript.TestScript, _ bool, args []string) { server(t, ts, args) },
			"stopped":  func(ts *testscript.TestScript, _ bool, args []string) { stopped(t, ts, args) },
		},
	})
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 || args[1] != "recount" {
		ts.Fatalf("usage: exits CODE recount ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	stdin := ""
	if file, ok := strings.CutPrefix(args[len(args)-1], "<"); ok {
		stdin, args = ts.ReadFile(file), args[:len(args)-1]
	}
	a := program(cli.Program{Stdin: strings.NewReader(stdin), Stdout: ts.Stdout(), Stderr: ts.Stderr(), Getenv: ts.Getenv})
	if got := a.Run(context.Background(), args[2:]); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func newDatabase(t *testing.T, ts *testscript.TestScript, args []string) {
	create := logtest.New
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
		Stream: args[0], Expected: eventstore.Any, Events: []eventstore.Event{{Type: args[1], Data: []byte(args[2])}},
	}, eventstore.AppendOptions{})
	ts.Check(err)
	ts.Check(store.Close(t.Context()))
}

func project(t *testing.T, ts *testscript.TestScript) {
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	pool, err := openPool(ctx, ts.Getenv("DATABASE_URL"), 1)
	ts.Check(err)
	defer pool.Close()
	var log bytes.Buffer
	code := make(chan int, 1)
	go func() {
		a := program(cli.Program{Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &log, Getenv: ts.Getenv})
		code <- a.Run(ctx, []string{"serve", "--listen", "127.0.0.1:0", "--max-connections", "8"})
	}()
	for arrived := false; !arrived && ctx.Err() == nil; {
		// As long as there are none it is NULL, which cannot be scanned.
		err := pool.QueryRow(ctx, `SELECT bool_and(g.position >= (SELECT max(position) FROM recount.events))
			FROM recount.projection_generations g`).Scan(&arrived)
		arrived = err == nil && arrived
	}
	arrived := ctx.Err() == nil
	stop()
	if got := <-code; got != cli.ExitOK || !arrived {
		ts.Fatalf("serve ended with exit code %d, projections arrived: %v\n%s", got, arrived, log.String())
	}
}

func server(t *testing.T, ts *testscript.TestScript, args []string) {
	p := startProcess(t, append([]string{"serve", "--database", ts.Getenv("DATABASE_URL"), "--listen", "127.0.0.1:0", "--max-connections", "8"}, args...)...)
	ts.Setenv("SERVER", p.await(t, `"url":"([^"]+)"`)[1])
	ts.Defer(func() { p.stopGently(t) })
}

func stopped(t *testing.T, ts *testscript.TestScript, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: stopped NAME POSITION")
	}
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	pool, err := openPool(ctx, ts.Getenv("DATABASE_URL"), 1)
	ts.Check(err)
	defer pool.Close()
	for there := false; !there; {
		ts.Check(pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM recount.projection_generations
			WHERE projection = $1 AND (failed_position = $2::bigint OR unreadable IS NOT NULL AND position = $2::bigint - 1))`, args[0], args[1]).Scan(&there))
	}
}

// openPool returns connections to a database.
func openPool(ctx context.Context, dsn string, maxConns int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	config.MaxConns = maxConns
	pgstore.ConfigurePool(config)
	return pgxpool.NewWithConfig(ctx, config)
}
