package cli

import (
	"context"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/hint"
)

// Program is the command line of an App with all that it touches outside of itself, so that tests
// can run it without a process. New makes one.
type Program struct {
	App        app.App
	Extensions []Extension

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// StdinTTY says that somebody at Stdin can answer questions, StderrTTY that a line on Stderr can
	// be written over.
	StdinTTY, StderrTTY bool
	Getenv              func(string) string
}

// Run runs a command line and returns the exit code. Ctx ends when the program is to stop.
func (prog *Program) Run(ctx context.Context, args []string) int {
	prog.Stderr = &sharedWriter{to: prog.Stderr}
	root := prog.Command()
	root.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	return prog.Report(root.ExecuteContext(ctx))
}

// hints are those of the program.
func (prog *Program) hints() hint.Program { return hint.Program(prog.App.ProgramName()) }

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

// Command returns the whole command line, to be part of another one too. Errors of it are for
// Report.
func (prog *Program) Command() *cobra.Command {
	name := prog.App.ProgramName()
	root := Group(&cobra.Command{
		Use:   name,
		Short: prog.App.Summary(),
		Long: prog.App.Summary() + `: events are kept in a log on PostgreSQL, folded into read models, and both are
served over HTTP.

To try it: {program} dev

Data goes to stdout; progress, logs and errors to stderr. Exit codes: 0 done, 1 failure, 2 wrong
usage, 3 not found, 4 conflict, 5 refused by a rule, 6 not authorized, 7 unavailable or timed out,
8 a check failed, 130 interrupted.`,
		Version:           app.BuildOf(prog.App).Version,
		SilenceErrors:     true,
		SilenceUsage:      true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error { return prog.setFromEnv(cmd.Flags()) },
	},
		prog.devCommand(), prog.serveCommand(), prog.migrateCommand(), prog.dbCommand(), prog.doctorCommand(), prog.verifyCommand(),
		prog.commandsCommand(), prog.projectionsCommand(), prog.subscriptionsCommand(), prog.deadCommand(), prog.windowsCommand(), prog.routesCommand(), prog.applyCommand(), prog.webhooksCommand(), prog.snapshotsCommand(),
		prog.streamsCommand(), prog.traceCommand(), prog.logCommand(), prog.patternCommand(), prog.transformCommand(), prog.mailCommand(), prog.relayCommand(), prog.tokensCommand(),
		prog.openAPICommand(), prog.versionCommand(),
	)
	if most := prog.withMost(); len(most.App.Sagas()) > 0 {
		root.AddCommand(most.sagasCommand())
	}
	for _, x := range prog.Extensions {
		if x.Commands != nil {
			root.AddCommand(x.Commands(prog)...)
		}
	}
	root.SetVersionTemplate(name + " {{.Version}}\n")
	// A group runs only to say which command is missing: that is no way to use it.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}", 1))
	root.SetFlagErrorFunc(flagError)
	root.SetIn(prog.Stdin)
	root.SetOut(prog.Stdout)
	root.SetErr(prog.Stderr)
	correctDefaults(root)
	prog.fill(root)
	return root
}

// fill puts the name of the program into the help of a command and of those below it.
func (prog *Program) fill(cmd *cobra.Command) {
	fill := prog.hints().Fill
	cmd.Short, cmd.Long, cmd.Example = fill(cmd.Short), fill(cmd.Long), fill(cmd.Example)
	for _, flags := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) { f.Usage = fill(f.Usage) })
	}
	for _, sub := range cmd.Commands() {
		prog.fill(sub)
	}
}

// correctDefaults makes the commands that cobra adds say what is wrong with their arguments, as the
// others do.
func correctDefaults(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "help":
			cmd.RunE = help
		case "completion":
			Group(cmd)
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
