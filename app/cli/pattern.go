package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery/pattern"
)

func (prog *Program) patternCommand() *cobra.Command {
	return Group(&cobra.Command{Use: "pattern", Short: "Try the filters of subscriptions"}, prog.patternTest())
}

func (prog *Program) patternTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test PATTERN EVENT",
		Short: "Say whether an event matches a pattern, else which clause it does not match; exit code 8 then",
		Long: `Say whether an event matches a pattern, and if it does not which clause it does not match: exit code 8 then.
Each of the two is JSON, @FILE or - for stdin. The event is the one that is delivered, with the members position,
stream, category, version, id, type, schema_version, recorded_at, metadata and data; a line of log tail -o json
is one. What it leaves out is zero, and absent in data and metadata.`,
		Example: `  {program} pattern test '{"data":{"total_minor":[{"numeric":[">=",100000]}]}}' '{"type":"OrderPlaced","data":{"total_minor":900}}'` +
			"\n  {program} log tail -n 1 -o json | {program} pattern test @filter.json -",
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) != 2:
			return UsageError(cmd, "%s needs a pattern and an event, got %d arguments", cmd.CommandPath(), len(args))
		case args[0] == "-" && args[1] == "-":
			return UsageError(cmd, "stdin can be the pattern or the event, not both")
		}
		return nil
	}
	out := OutputFlag(cmd)
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		p, err := readArgument(prog, "pattern", args[0], pattern.Compile)
		if err != nil {
			return err
		}
		e, err := readArgument(prog, "event", args[1], pattern.ParseEvent)
		if err != nil {
			return err
		}
		x := p.Explain(&e)
		if err := out.Print(prog.Stdout, x, func(w io.Writer) { explanationTable(w, x) }); err != nil || x.Matched {
			return err
		}
		return Fail(ExitCheckFailed, errors.New("the event does not match the pattern"), "")
	}
	return cmd
}

// readArgument reads JSON that is an argument, in a file or on stdin.
func readArgument[T any](prog *Program, name, argument string, parse func([]byte) (T, error)) (v T, err error) {
	text := []byte(argument)
	if file, ok := strings.CutPrefix(argument, "@"); ok {
		text, err = os.ReadFile(file)
	} else if argument == "-" {
		text, err = io.ReadAll(prog.Stdin)
	}
	if err != nil {
		return v, fmt.Errorf("read the %s: %w", name, err)
	}
	if v, err = parse(text); err != nil {
		return v, Fail(ExitUsage, fmt.Errorf("%s: %w", name, err), "")
	}
	return v, nil
}

func explanationTable(w io.Writer, x pattern.Explanation) {
	if x.Matched {
		fmt.Fprintln(w, "matched")
		return
	}
	fmt.Fprintf(w, "clause\t%s\n", Cell(x.Clause.Pointer, 500))
	fmt.Fprintf(w, "wanted\t%s\n", Cell(string(x.Clause.Wanted), 500))
	fmt.Fprintf(w, "found\t%s\n", Cell(x.Clause.Found, 2000))
}
