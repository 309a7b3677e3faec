package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) deadShow(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show NAME POSITION",
		Short: "Print a dead letter: its event, and the attempts to deliver it",
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, position, err := nameAndPosition(cmd, args)
		if err != nil {
			return err
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			l, err := op.ShowDead(cmd.Context(), name, position)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, l, func(w io.Writer) {
				deadTable(w, []delivery.DeadLetter{l.DeadLetter})
				attemptTable(w, l.History)
				fmt.Fprintf(w, "\n%s\n", Cell(string(l.Event), 4000))
			})
		})
	}
	return cmd
}
