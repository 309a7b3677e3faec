package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) subscriptionsList(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the subscriptions, how far they are, and who delivers",
		Args:  NoArgs,
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return target.withSubscriptions(cmd.Context(), func(op subscriptionOperator) error {
			all, err := op.List(cmd.Context())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { subscriptionTable(w, all) })
		})
	}
	return cmd
}

func subscriptionTable(w io.Writer, all []delivery.Status) {
	fmt.Fprintln(w, "NAME\tSTATE\tTARGET\tLAG\tIN FLIGHT\tPARKED\tDEAD\tOWNERS")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", s.Name, s.State, Cell(targetCell(s.Definition.Target), 60),
			lagCell(s.LagEvents, s.LagSeconds), s.InFlight, s.Parked, s.Dead, owners(s))
	}
}
