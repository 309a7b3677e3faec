package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (prog *Program) subscriptionsRetry(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "retry NAME POSITION",
		Short: "Try an event now that waits for its next attempt",
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		name, position, err := nameAndPosition(cmd, args)
		if err != nil {
			return err
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			if err := op.RetryNow(cmd.Context(), name, position, actor()); err != nil {
				return err
			}
			return out.Print(prog.Stdout, steeredEvent{name, position}, func(w io.Writer) {
				fmt.Fprintf(w, "%s tries the event at position %d\n", name, position)
			})
		})
	}
	return cmd
}
