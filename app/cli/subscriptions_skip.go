package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// steeredEvent is what was done with an event of a subscription.
type steeredEvent struct {
	Subscription string `json:"subscription"`
	Position     int64  `json:"position"`
}

func (prog *Program) subscriptionsSkip(d *database) *cobra.Command {
	var reason string
	var position int64
	cmd := &cobra.Command{
		Use:   "skip NAME --reason TEXT",
		Short: "Leave the event out that a subscription stopped on, for ever, and go on",
		Args:  OneArg("subscription"),
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
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			skipped, err := op.Skip(cmd.Context(), args[0], position, reason, actor())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, steeredEvent{args[0], skipped}, func(w io.Writer) {
				fmt.Fprintf(w, "%s leaves out the event at position %d\n", args[0], skipped)
			})
		})
	}
	return cmd
}
