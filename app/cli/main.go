// Package cli is the command line of an App: its server, with a PostgreSQL of its own for
// development or on a given one, migrations, and commands for operators. Each command has a file of
// its name: projections_ls.go is projections ls.
//
// This package has flags, configuration and exit codes. What the commands do is in the packages
// that they call.
package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/57528e99/recount/app"
)

// Extension adds to the command line of an App.
type Extension struct {
	// Commands returns more commands. Default: none.
	Commands func(*Program) []*cobra.Command
	// Dev adds flags to the command dev, and returns what is done once its server answers, beside it.
	// Its error is reported, and does not stop the server. Default: nothing.
	Dev func(prog *Program, flags *pflag.FlagSet) func(context.Context, DevServer) error
	// App lets serve and dev run a variant of the program's App. Default: they run that.
	App *Variants
}

// DevServer is the server of dev, which answers.
type DevServer struct {
	// URL is where it is reached.
	URL string
	// Service is what it serves; who uses it returns when the context ends.
	Service *app.Service
}

// Variants are Apps that a program runs for different flags. They differ in modules.
type Variants struct {
	// Flags adds flags to serve or dev, and returns what makes the App once they are set. DataDir is where dev keeps data; empty: it keeps
	// none, or it is serve. Close is called when the App has ended.
	Flags func(flags *pflag.FlagSet, dev bool) func(dataDir string) (a app.App, close func() error, err error)
	// Most is the App with everything that any of them has, for commands that look into a database.
	Most app.App
}

// variantFlags adds the flags that choose a variant of the App, and returns what chooses it.
func (prog *Program) variantFlags(flags *pflag.FlagSet, dev bool) func(dataDir string) (closeApp func() error, err error) {
	for _, x := range prog.Extensions {
		if x.App != nil {
			choose := x.App.Flags(flags, dev)
			return func(dataDir string) (func() error, error) {
				a, closeApp, err := choose(dataDir)
				if err == nil {
					prog.App = prog.variant(a)
				}
				return closeApp, err
			}
		}
	}
	return func(string) (func() error, error) { return func() error { return nil }, nil }
}

// variant returns a variant of the App, which has the same targets.
func (prog *Program) variant(a app.App) app.App {
	if a.Targets == nil {
		a.Targets = prog.App.Targets
	}
	return a
}

// withMost returns the program with the App that has everything.
func (prog *Program) withMost() *Program {
	for _, x := range prog.Extensions {
		if x.App != nil {
			with := *prog
			with.App = prog.variant(x.App.Most)
			return &with
		}
	}
	return prog
}

// ballastBytes counts as memory in use, and is never touched, so that it takes none. Garbage is
// collected when there is as much of it as there is memory in use: for the few MiB of a server that
// would be for every few hundred requests, and took a tenth of their time.
const ballastBytes = 32 << 20

// Main runs the command line of this process, and ends it.
func Main(a app.App, extensions ...Extension) {
	ballast := make([]byte, ballastBytes)
	code := New(a, extensions...).Run(untilInterrupted(), os.Args[1:])
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

// New returns the command line of an App, on the streams and the environment of this process.
func New(a app.App, extensions ...Extension) *Program {
	return &Program{
		App: a, Extensions: extensions,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTTY:  term.IsTerminal(int(os.Stdin.Fd())),
		StderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		Getenv:    os.Getenv,
	}
}

// ErrInterrupted is the cause of a context that ended with a signal.
var ErrInterrupted = errors.New("interrupted")

// untilInterrupted returns a context that ends with the first SIGINT or SIGTERM. The second ends
// the process.
func untilInterrupted() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel(ErrInterrupted)
		<-signals
		killGroups()
		os.Exit(ExitInterrupted)
	}()
	return ctx
}
