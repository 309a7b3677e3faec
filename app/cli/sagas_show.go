package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/sagas"
)

func (prog *Program) sagasShow(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show SAGA ID",
		Short: "Print an instance: where it is, its data, and what has happened",
		Args:  ArgsBetween(2, 2),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return target.withSagas(cmd.Context(), func(op sagaOperator) error {
			all, err := op.Show(cmd.Context(), args[0], args[1], 0)
			for err == nil && all.More > 0 {
				var rest sagas.Details
				rest, err = op.Show(cmd.Context(), args[0], args[1], all.More)
				all.History, all.More = append(all.History, rest.History...), rest.More
			}
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, all, func(w io.Writer) { printInstance(w, all) })
		})
	}
	return cmd
}

func printInstance(w io.Writer, d sagas.Details) {
	fmt.Fprintln(w, "SAGA\tID\tVERSION\tSTATUS\tSTARTED\tCHANGED\tERROR")
	fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", d.Saga, Cell(d.ID, 60), d.Version, d.Status, timeCell(&d.StartedAt), timeCell(&d.ChangedAt), Cell(d.Error, 500))
	fmt.Fprintln(w, "\nSTEP\tSTATUS\tUNTIL\tCODE\tERROR")
	for _, s := range d.Steps {
		until := ""
		if (s.Status == sagas.Open || s.Status == sagas.Undoing) && !s.Until.IsZero() {
			until = s.Until.UTC().Format(timeFormat)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.Name, s.Status, until, s.Code, Cell(s.Error, 120))
	}
	if len(d.Data) > 0 {
		fmt.Fprintln(w)
		for _, name := range slices.Sorted(maps.Keys(d.Data)) {
			fmt.Fprintf(w, "%s: %s\n", Cell(name, 60), Cell(string(d.Data[name]), 500))
		}
	}
	fmt.Fprintln(w, "\nVERSION\tPOSITION\tAT\tTYPE\tACTOR\tDATA")
	for _, e := range d.History {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\t%s\n", e.Version, e.Position, timeCell(&e.RecordedAt), e.Type, Cell(e.Actor, 60), Cell(string(e.Data), 160))
		for _, a := range e.Attempts {
			fmt.Fprintf(w, "\t\t%s\tattempt %d: %s\t\t%s\n", timeCell(&a.At), a.Attempt, a.Outcome, Cell(a.Error, 160))
		}
	}
}
