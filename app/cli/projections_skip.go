package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsSkip(d *database) *cobra.Command {
	var reason string
	var position int64
	cmd := &cobra.Command{
		Use:   "skip NAME --reason TEXT",
		Short: "Leave the event that a projection stopped on out of it, for ever, and go on",
		Long: `Leave the event that a projection stopped on out of it, for ever, and go on. The event stays in the
log; that it was left out, why and by whom is kept and shown by {program} projections show.`,
		Args: OneArg("projection"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().StringVar(&reason, "reason", "", "why the event may be left out")
	cmd.Flags().Int64Var(&position, "position", 0, "position of the event, to skip no other (default whichever it is)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if reason == "" {
			return UsageError(cmd, "say why with --reason TEXT; it is kept")
		}
		if position < 0 {
			return UsageError(cmd, "--position must not be negative")
		}
		return target.with(cmd.Context(), func(op operator) error {
			skips, err := op.Skip(cmd.Context(), args[0], position, reason, actor())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(skips), func(w io.Writer) {
				fmt.Fprintln(w, "SKIPPED\tEVENT\tTYPE\tGENERATION\tREASON\tBY\tAT")
				skipRows(w, skips)
			})
		})
	}
	return cmd
}

func skipRows(w io.Writer, skips []projections.Skip) {
	for _, s := range skips {
		fmt.Fprintf(w, "%d\t%s\t%s\t%d\t%s\t%s\t%s\n",
			s.Position, s.EventID, Cell(s.Type, 60), s.Generation, Cell(s.Reason, 200), Cell(s.Actor, 60), s.At.UTC().Format(timeFormat))
	}
}
