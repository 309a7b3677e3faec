package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
)

func (prog *Program) subscriptionsPause(d *database) *cobra.Command {
	return prog.subscriptionsSteer(d, &cobra.Command{
		Use:   "pause NAME",
		Short: "Let a subscription deliver nothing, in all processes, until it is resumed",
	}, true, subscriptionOperator.Pause)
}

func (prog *Program) subscriptionsResume(d *database) *cobra.Command {
	return prog.subscriptionsSteer(d, &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a subscription go on that was paused, or has stopped",
	}, false, subscriptionOperator.Resume)
}

func (prog *Program) subscriptionsSteer(d *database, cmd *cobra.Command, paused bool, steer func(subscriptionOperator, context.Context, string, string) error) *cobra.Command {
	cmd.Args = OneArg("subscription")
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			if err := steer(op, cmd.Context(), args[0], actor()); err != nil {
				return err
			}
			return out.Print(prog.Stdout, operations.Desired{Name: args[0], Paused: paused}, func(w io.Writer) {
				fmt.Fprintf(w, "%s is %sd\n", args[0], cmd.Name())
			})
		})
	}
	return cmd
}
