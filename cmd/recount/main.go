// Recount runs an event-sourced backend on PostgreSQL, and looks after it. `recount --help` lists
// its commands. Each command has a file of its name: projections_ls.go is recount projections ls.
//
// This package has flags, configuration, wiring and exit codes. What the commands do is in the
// packages that they call.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func main() {
	a := &app{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr,
		stdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		stderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		getenv:    os.Getenv,
	}
	os.Exit(a.run(untilInterrupted(), os.Args[1:]))
}

// errInterrupted is the cause of a context that ended with a signal.
var errInterrupted = errors.New("interrupted")

// untilInterrupted returns a context that ends with the first SIGINT or SIGTERM. The second ends
// the process.
func untilInterrupted() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals
		os.Exit(exitInterrupted)
	}()
	return ctx
}
