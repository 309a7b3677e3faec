package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/internal/jsondiff"
)

// streamDiff is what became of a state between two versions.
type streamDiff struct {
	Stream      string                `json:"stream"`
	From        int64                 `json:"from"`
	To          int64                 `json:"to"`
	Differences []jsondiff.Difference `json:"differences"`
}

func (prog *Program) streamsDiff(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "diff STREAM A B",
		Short:   "Print what in the state of an aggregate is not the same at two versions",
		Example: "  {program} streams diff order-42 0 3",
	}
	out := OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) != 3 {
			return UsageError(cmd, "%s needs a stream and two versions, got %d arguments", cmd.CommandPath(), len(args))
		}
		v := streamDiff{Stream: args[0]}
		for i, into := range []*int64{&v.From, &v.To} {
			var err error
			if *into, err = strconv.ParseInt(args[i+1], 10, 64); err != nil || *into < 0 {
				return UsageError(cmd, "%q is no version: versions are numbers from 0", args[i+1])
			}
		}
		return d.withService(cmd.Context(), app.Options{Logger: prog.warnings()}, func(s *app.Service) error {
			before, err := d.loadState(cmd, s.Commands, v.Stream, commands.AtVersion(v.From))
			if err != nil {
				return err
			}
			after, err := d.loadState(cmd, s.Commands, v.Stream, commands.AtVersion(v.To))
			if err != nil {
				return err
			}
			differences, err := jsondiff.Of(before.State, after.State)
			if err != nil {
				return err
			}
			v.Differences = listOf(differences).Items
			return out.Print(prog.Stdout, v, func(w io.Writer) { diffTable(w, v) })
		})
	}
	return cmd
}

func diffTable(w io.Writer, v streamDiff) {
	const limit = 80
	fmt.Fprintf(w, "PATH\tVERSION %d\tVERSION %d\n", v.From, v.To)
	for _, d := range v.Differences {
		fmt.Fprintf(w, "%s\t%s\t%s\n", Cell(d.Path, limit), valueCell(d.Before, limit), valueCell(d.After, limit))
	}
	if len(v.Differences) == 0 {
		fmt.Fprintln(w, "(no difference)")
	}
}

// valueCell shows a value, and - where there is none.
func valueCell(value json.RawMessage, limit int) string {
	if value == nil {
		return "-"
	}
	return Cell(string(value), limit)
}
