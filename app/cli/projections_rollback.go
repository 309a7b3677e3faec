package cli

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsRollback(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Bring the rows that a rebuild replaced up to date, and switch back to them",
		Args:  OneArg("projection"),
	}
	var o operations.Options
	reasonFlag(cmd.Flags(), &o.Reason, "the rows of before are wanted")
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	ignoreFlag(cmd.Flags(), &target.options.IgnoreTypes)
	prog.snapshotFlag(cmd.Flags(), &target.options.SnapshotEvery)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		op, err := prog.operate(cmd.Context(), target, operations.Request{Kind: projections.Rollback, Subject: args[0], Options: o})
		if err != nil {
			return err
		}
		return out.Print(prog.Stdout, op, func(w io.Writer) { operationTable(w, []operations.Operation{op}) })
	}
	return cmd
}
