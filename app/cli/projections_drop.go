package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (prog *Program) projectionsDrop(d *database) *cobra.Command {
	var version int
	var yes bool
	var reason string
	cmd := &cobra.Command{
		Use:   "drop NAME",
		Short: "Remove a projection that no program has any more, or the rows of one version",
		Long: `Remove a projection with all its rows and its view, or the rows of one version. Refused for what a
process runs, and for a version that the view shows. A program that has the projection makes it anew
from the log when it runs next.`,
		Example: "  {program} projections drop sales_by_week\n  {program} projections drop orders --version 1",
		Args:    OneArg("projection"),
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.Flags().IntVar(&version, "version", 0, "only the rows of this version")
	reasonFlag(cmd.Flags(), &reason, "it is removed")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		consequence := fmt.Sprintf("this removes projection %s with all its rows", args[0])
		switch {
		case cmd.Flags().Changed("version") && version < 1:
			return UsageError(cmd, "--version must be 1 or more; it is %d", version)
		case version != 0:
			consequence = fmt.Sprintf("this removes the rows of version %d of projection %s", version, args[0])
		}
		if err := prog.confirm(cmd.Context(), yes, consequence); err != nil {
			return err
		}
		return target.with(cmd.Context(), func(op operator) error {
			dropped, err := op.Drop(cmd.Context(), args[0], version, reason, actor())
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, dropped, func(w io.Writer) {
				fmt.Fprintf(w, "%s: generations %v are removed\n", args[0], dropped.Generations)
			})
		})
	}
	return cmd
}
