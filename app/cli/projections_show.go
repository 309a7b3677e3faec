package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsShow(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Print all about a projection: how far it is, what it stopped on and skips, its operations, who did what last",
		Args:  OneArg("projection"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return target.with(cmd.Context(), func(op operator) error {
			v, err := op.Details(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, v, func(w io.Writer) { showTable(w, v) })
		})
	}
	return cmd
}

func showTable(w io.Writer, v projections.Details) {
	statusTable(w, v.Generations)
	if last, ok := v.LastAct(); ok {
		fmt.Fprintf(w, "\nlast act: %s by %s at %s", last.Action, Cell(last.Actor, 60), last.At.Format(timeFormat))
		if last.Detail != "" {
			fmt.Fprintf(w, ": %s", Cell(last.Detail, 400))
		}
		fmt.Fprintln(w)
	}
	for _, s := range v.Generations {
		if f := s.Failure; f != nil {
			fmt.Fprintf(w, "\ngeneration %d stopped at %s", s.Generation, f.At.Format(timeFormat))
			if f.Position != 0 {
				fmt.Fprintf(w, " on event %s, %s in %s, position %d", f.EventID, Cell(f.Type, 60), f.Stream, f.Position)
			}
			fmt.Fprintf(w, "\nerror: %s\nhint: %s\n", Cell(f.Error, 4000), f.Hint)
		}
		if t := s.Trouble; t != nil {
			fmt.Fprintf(w, "\ngeneration %d tries again since %s\nerror: %s\n", s.Generation, t.At.Format(timeFormat), Cell(t.Error, 4000))
		}
		if u := s.Unreadable; u != nil && s.Owner == "" {
			fmt.Fprintf(w, "\ngeneration %d waits since %s for a program that can read on\nerror: %s\n", s.Generation, u.At.Format(timeFormat), Cell(u.Error, 4000))
		}
	}
	if len(v.Operations) > 0 {
		fmt.Fprintln(w)
		operationTable(w, v.Operations)
	}
	if len(v.Skips) == 0 {
		return
	}
	fmt.Fprintln(w, "\nSKIPPED\tEVENT\tTYPE\tGENERATION\tREASON\tBY\tAT")
	skipRows(w, v.Skips)
}
