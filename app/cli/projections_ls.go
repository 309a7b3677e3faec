package cli

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsList(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ls",
		Short: "List the projections, how far they are and who runs them",
		Long: `List the projections, how far they are and who runs them. READ BY says whose rows they are: the view with
the projection's name shows those of one generation to SQL users, and a program reads those of its own version.`,
		Args: NoArgs,
	}
	every := false
	cmd.Flags().BoolVar(&every, "all", false, "also projections that the program does not have")
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return target.with(cmd.Context(), func(op operator) error {
			all, err := op.List(cmd.Context())
			if err != nil {
				return err
			}
			if !every {
				all = slices.DeleteFunc(all, func(s projections.Status) bool { return !s.Known })
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { statusTable(w, all) })
		})
	}
	return cmd
}

func statusTable(w io.Writer, all []projections.Status) {
	fmt.Fprintln(w, "NAME\tGENERATION\tVERSION\tREAD BY\tSTATE\tPOSITION\tLAG\tEVENTS\tOWNER")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%d\t%d events, %.1fs\t%d\t%s\n",
			s.Projection, s.Generation, s.Version, readBy(s), s.State, s.Position, s.LagEvents, s.LagSeconds, s.Events, s.Owner)
	}
}

// readBy says who reads the rows of a generation: SQL users by the view, and this program.
func readBy(s projections.Status) string {
	switch {
	case s.InView && s.ReadHere:
		return "view, program"
	case s.InView:
		return "view"
	case s.ReadHere:
		return "program"
	}
	return ""
}
