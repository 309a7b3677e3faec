package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// app is the program with all that it touches outside of itself, so that tests can run it without
// a process.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// asks says that somebody at stdin can answer questions, rewrites that a line on stderr can be
	// written over.
	asks, rewrites bool
	getenv         func(string) string
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

// group makes cmd a command that does nothing itself but has subcommands.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs // RunE tells better what is wrong with them
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case cmd.HasParent():
			return usageError(cmd, "%s needs a command", cmd.CommandPath())
		}
		return cmd.Help()
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := usageError(cmd, "unknown command %q for %s", name, cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err.hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return err
}

// flagError is for flags that cannot be read. That of an unknown command is not what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	return usageError(cmd, "%s", legible(err))
}

// legible says what is wrong with the value of a flag in other words than strconv's.
func legible(err error) string {
	var number *strconv.NumError
	if !errors.As(err, &number) {
		return err.Error()
	}
	must := "must be a whole number"
	switch {
	case number.Func == "ParseBool":
		must = "must be true or false"
	case errors.Is(number.Err, strconv.ErrRange):
		must = "is beyond what it can be"
	}
	return strings.Replace(err.Error(), number.Error(), must, 1)
}

// noArgs and oneArg are what commands say of their arguments.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError(cmd, "%s takes no arguments, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func oneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) != 1:
			return usageError(cmd, "%s needs one %s, got %d arguments", cmd.CommandPath(), name, len(args))
		case args[0] == "":
			return usageError(cmd, "%s needs one %s, and it must not be empty", cmd.CommandPath(), name)
		}
		return nil
	}
}

// confirm lets somebody agree to something that cannot be undone: on the terminal, or by the flag
// --yes where there is none.
func (a *app) confirm(ctx context.Context, yes bool, consequence string) error {
	if yes {
		return nil
	}
	if !a.asks {
		return &failure{exitUsage, fmt.Errorf("%s; this needs to be confirmed", consequence), "add --yes"}
	}
	fmt.Fprintf(a.stderr, "%s. Continue? Type yes: ", consequence)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(a.stdin).ReadString('\n') // what cannot be read is no yes
		answer <- strings.TrimSpace(line)
	}()
	select {
	case line := <-answer:
		if line == "yes" {
			return nil
		}
		return fmt.Errorf("not confirmed: it takes the word yes, not %q; nothing was done", cell(line, 40))
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
