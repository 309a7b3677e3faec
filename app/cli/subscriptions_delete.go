package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) subscriptionsDelete(d *database) *cobra.Command {
	var discard, yes bool
	cmd := &cobra.Command{
		Use:   "delete NAME",
		Short: "Remove a subscription with all that it remembers",
		Long: `Remove a subscription with all that it remembers. One of the same name that is made later begins anew. A program
that declares the subscription makes it again when it starts.`,
		Args: OneArg("subscription"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().BoolVar(&discard, "discard-dead", false, "also if it has dead letters")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := prog.confirm(cmd.Context(), yes, fmt.Sprintf("this removes subscription %s and how far it has come", args[0])); err != nil {
			return err
		}
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			if err := op.Delete(cmd.Context(), args[0], 0, discard, actor()); err != nil {
				return err
			}
			done := delivery.Change{Subscription: args[0], Done: delivery.Deleted}
			return out.Print(prog.Stdout, done, func(w io.Writer) { changesTable(w, []delivery.Change{done}) })
		})
	}
	return cmd
}
