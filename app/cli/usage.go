package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// UsageError says that a command is used wrongly.
func UsageError(cmd *cobra.Command, format string, args ...any) *Failure {
	return &Failure{ExitUsage, fmt.Errorf(format, args...), "see " + cmd.CommandPath() + " --help"}
}

// Group makes cmd a command that does nothing itself but has subcommands.
func Group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(subcommands...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.Args = cobra.ArbitraryArgs // RunE tells better what is wrong with them
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 0:
			return unknownCommand(cmd, args[0])
		case cmd.HasParent():
			return UsageError(cmd, "%s needs a command", cmd.CommandPath())
		}
		return cmd.Help()
	}
	return cmd
}

func unknownCommand(cmd *cobra.Command, name string) error {
	err := UsageError(cmd, "unknown command %q for %s", name, cmd.CommandPath())
	if near := cmd.SuggestionsFor(name); len(near) > 0 {
		err.Advice = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return err
}

// flagError is for flags that cannot be read. That of an unknown command is not what is wrong.
func flagError(cmd *cobra.Command, err error) error {
	if cmd.HasSubCommands() && cmd.Flags().NArg() > 0 {
		return unknownCommand(cmd, cmd.Flags().Arg(0))
	}
	failure := UsageError(cmd, "%s", legible(err))
	if err.Error() == "unknown flag: --server" && cmd.Flags().Lookup("database") != nil {
		failure.Advice = cmd.CommandPath() + " reads the database and asks no server: --database, or DATABASE_URL"
	}
	return failure
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

// NoArgs and oneArg are what commands say of their arguments.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return UsageError(cmd, "%s takes no arguments, got %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// OneArg says that a command takes one argument, called name.
func OneArg(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) != 1:
			return UsageError(cmd, "%s needs one %s, got %d arguments", cmd.CommandPath(), name, len(args))
		case args[0] == "":
			return UsageError(cmd, "%s needs one %s, and it must not be empty", cmd.CommandPath(), name)
		}
		return nil
	}
}

// ArgsBetween says that a command takes so many arguments, none of which may be empty; high
// -1: any number from low.
func ArgsBetween(low, high int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < low || high >= 0 && len(args) > high:
			return UsageError(cmd, "%s has the form: %s; got %d arguments", cmd.CommandPath(), cmd.UseLine(), len(args))
		case slices.Contains(args, ""):
			return UsageError(cmd, "the arguments of %s must not be empty", cmd.CommandPath())
		}
		return nil
	}
}
