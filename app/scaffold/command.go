package scaffold

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
)

// recount is the module that services are built on.
const recount = "github.com/57528e99/recount"

// Extension returns the commands new and gen.
func Extension() cli.Extension {
	return cli.Extension{Commands: func(prog *cli.Program) []*cobra.Command {
		return []*cobra.Command{newCommand(prog), genCommand(prog)}
	}}
}

func newCommand(prog *cli.Program) *cobra.Command {
	var module, clone string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write the beginnings of a service of one's own",
		Long: `Write the beginnings of a service of one's own into the folder NAME: its description, one aggregate with
a read model, and a test. It needs the go command.`,
		Example: "  {program} new bank && cd bank && go run . dev",
		Args:    cli.OneArg("name"),
	}
	cmd.Flags().StringVar(&module, "module", "", "module path of the service (default NAME)")
	cmd.Flags().StringVar(&clone, "recount", "", "clone of Recount to build with, instead of the version of this program")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name := args[0]
		if module == "" {
			module = name
		}
		version := app.BuildOf(app.App{}).Version
		if clone == "" && !released.MatchString(version) {
			if clone = findClone(); clone == "" {
				return cli.Fail(cli.ExitUsage, errors.New("this program is no released version, which a service could be built with"),
					"say where a clone is: --recount DIR")
			}
		}
		requirement := []string{"mod", "edit", "-require=" + recount + "@" + version}
		if clone != "" {
			dir, err := filepath.Abs(clone)
			if err != nil {
				return err
			}
			if !isClone(dir) {
				return cli.Fail(cli.ExitUsage, fmt.Errorf("%s is no clone of Recount: its go.mod is not that of %s", clone, recount),
					"get one: git clone https://"+recount)
			}
			requirement = []string{"mod", "edit", "-require=" + recount + "@v0.0.0", "-replace=" + recount + "=" + dir}
		}
		err := New(name, module, name, func(dir string) error {
			for _, args := range [][]string{{"mod", "init", module}, requirement, {"mod", "tidy"}} {
				if _, err := runGo(cmd.Context(), dir, args...); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return asUsage(cmd, err)
		}
		_, err = fmt.Fprintf(prog.Stdout, "%s is there. Try it: cd %s && go run . dev\n", name, name)
		return err
	}
	return cmd
}

func genCommand(prog *cli.Program) *cobra.Command {
	cmd := &cobra.Command{Use: "gen", Short: "Add to a service of one's own, in the folder of its main package"}
	return cli.Group(cmd, genAggregate(prog), genEvent(prog), genCommandType(prog), genProjection(prog))
}

func genAggregate(prog *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:     "aggregate NAME",
		Short:   "Add an aggregate: a package with its state, an event, a command, a read model and a test",
		Example: "  {program} gen aggregate invoice",
		Args:    cli.OneArg("name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := runGo(cmd.Context(), ".", "list")
			if err != nil {
				return err
			}
			return done(cmd, prog, Aggregate(".", path, args[0]), "package "+args[0])
		},
	}
}

// fieldsHelp says what fields are, for help.
const fieldsHelp = "A FIELD is its name in JSON, such as amount_minor. A TYPE is " + FieldTypes + "."

func genEvent(prog *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:     "event PACKAGE TYPE [FIELD:TYPE...]",
		Short:   "Add an event to an aggregate",
		Long:    "Add an event to an aggregate.\n\n" + fieldsHelp,
		Example: "  {program} gen event note Archived reason:string due:time",
		Args:    cli.ArgsBetween(2, -1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fields, err := ParseFields(args[2:])
			if err == nil {
				err = Event(args[0], args[1], fields)
			}
			return done(cmd, prog, err, "event "+args[1]+"; say in its Evolve what it does to the state")
		},
	}
}

func genCommandType(prog *cli.Program) *cobra.Command {
	var event string
	cmd := &cobra.Command{
		Use:     "command PACKAGE TYPE [FIELD:TYPE...]",
		Short:   "Add a command to an aggregate",
		Long:    "Add a command to an aggregate.\n\n" + fieldsHelp,
		Example: "  {program} gen command note Archive --event Archived reason:string",
		Args:    cli.ArgsBetween(2, -1),
	}
	cmd.Flags().StringVar(&event, "event", "", "event that it causes, which has the same fields (default none)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		fields, err := ParseFields(args[2:])
		if err == nil {
			err = Command(args[0], args[1], event, fields)
		}
		return done(cmd, prog, err, "command "+args[1]+"; say in its Decide what it refuses")
	}
	return cmd
}

func genProjection(prog *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:     "projection PACKAGE NAME",
		Short:   "Add a read model of an aggregate's events, and a route that reads it",
		Example: "  {program} gen projection note note_history",
		Args:    cli.ArgsBetween(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return done(cmd, prog, Projection(args[0], args[1]), "projection "+args[1]+"; say in its functions what events do to a row")
		},
	}
}

// done reports what was made, or why not.
func done(cmd *cobra.Command, prog *cli.Program, err error, made string) error {
	if err != nil {
		return asUsage(cmd, err)
	}
	_, err = fmt.Fprintln(prog.Stdout, "added "+made)
	return err
}

// asUsage makes what cannot be written as it was asked for a wrong use of the command.
func asUsage(cmd *cobra.Command, err error) error {
	if errors.Is(err, ErrInvalid) {
		return cli.UsageError(cmd, "%w", err)
	}
	return err
}

// released are versions that the go command can get.
var released = regexp.MustCompile(`^v[0-9]+\.[0-9]+\.[0-9]+[^+]*$`)

// findClone returns the clone of Recount that this program was built in, or runs in; "": none.
func findClone() string {
	var places []string
	if dir, err := os.Getwd(); err == nil {
		places = append(places, dir)
	}
	if path, err := os.Executable(); err == nil {
		places = append(places, filepath.Dir(path))
	}
	for _, dir := range places {
		for ; ; dir = filepath.Dir(dir) {
			if isClone(dir) {
				return dir
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return ""
}

// isClone reports whether a folder has Recount's source.
func isClone(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	return err == nil && bytes.HasPrefix(text, []byte("module "+recount+"\n"))
}

// runGo runs the go command in a folder, and returns what it prints.
func runGo(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", cli.Fail(cli.ExitUnavailable, err, "install Go: https://go.dev/dl")
	case err != nil:
		return "", fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), dir, err, strings.TrimSpace(said.String()))
	}
	return strings.TrimSpace(out.String()), nil
}
