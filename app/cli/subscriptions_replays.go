package cli

import (
	"io"

	"github.com/spf13/cobra"
)

func (prog *Program) subscriptionsReplays(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replays NAME",
		Short: "List the replays of a subscription: the one that runs, and those that have ended",
		Args:  OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			all, err := op.Replays(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { replayTable(w, all) })
		})
	}
	return cmd
}
