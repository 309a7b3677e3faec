package main

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// app is the program with all that it touches outside of itself, so that tests can run it without
// a process.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// stdinTTY says that somebody at stdin can answer questions, stderrTTY that a line on stderr can be
	// written over.
	stdinTTY, stderrTTY bool
	getenv              func(string) string
}

// run runs a command line and returns the exit code. Ctx ends when the program is to stop.
func (a *app) run(ctx context.Context, args []string) int {
	a.stderr = &sharedWriter{to: a.stderr}
	root := a.rootCommand()
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	return a.report(root.ExecuteContext(ctx))
}

// sharedWriter is for log and messages of several goroutines.
type sharedWriter struct {
	mu sync.Mutex
	to io.Writer
}

func (w *sharedWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(b)
}

func (a *app) rootCommand() *cobra.Command {
	root := group(&cobra.Command{
		Use:   "recount",
		Short: "An event-sourced backend on PostgreSQL",
		Long: `Recount keeps events in a log on PostgreSQL, folds them into read models, and serves both over HTTP.

To try it: recount dev

Data goes to stdout; progress, logs and errors to stderr. Exit codes: 0 done, 1 failure, 2 wrong
usage, 3 not found, 4 conflict, 5 refused by a rule, 6 not authorized, 7 unavailable or timed out,
8 a check failed, 130 interrupted.`,
		Version:           readBuild().Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return a.setFromEnv(cmd.Flags()) },
	},
		a.devCommand(), a.serveCommand(), a.migrateCommand(), a.dbCommand(), a.importCommand(),
		a.projectionsCommand(), a.snapshotsCommand(), a.streamsCommand(), a.logCommand(), a.benchCommand(), a.versionCommand(),
	)
	root.SetVersionTemplate("recount {{.Version}}\n")
	// A group runs only to say which command is missing: that is no way to use it.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	root.SetFlagErrorFunc(flagError)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	correctDefaults(root)
	return root
}

// correctDefaults makes the commands that cobra adds say what is wrong with their arguments, as the others do.
func correctDefaults(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.RunE = help
		case "completion":
			group(cmd)
		}
	}
}

// help prints the help of the command that the arguments name.
func help(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return unknownCommand(about, rest[0])
	}
	about.InitDefaultHelpFlag()
	return about.Help()
}
