package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsList(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the projections, how far they are and who runs them",
		Args:  noArgs,
	}
	out := outputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return target.with(cmd.Context(), func(op operator) error {
			all, err := op.List(cmd.Context())
			if err != nil {
				return err
			}
			return out.print(a.stdout, listOf(all), func(w io.Writer) { statusTable(w, all) })
		})
	}
	return cmd
}

func statusTable(w io.Writer, all []projections.Status) {
	fmt.Fprintln(w, "NAME\tGENERATION\tVERSION\tSTATE\tPOSITION\tLAG\tEVENTS\tOWNER")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%d\t%d events, %.1fs\t%d\t%s\n",
			s.Projection, s.Generation, s.Version, s.State, s.Position, s.LagEvents, s.LagSeconds, s.Events, s.Owner)
	}
}
