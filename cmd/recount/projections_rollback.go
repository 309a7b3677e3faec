package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsRollback(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback NAME",
		Short: "Bring the rows that a rebuild replaced up to date, and switch back to them",
		Args:  oneArg("projection"),
	}
	out := outputFlag(cmd)
	target := targetFlags(cmd, d)
	ignoreFlag(cmd.Flags(), &target.ignoreTypes)
	snapshotFlag(cmd.Flags(), &target.every)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		op, err := a.operate(cmd.Context(), target, operations.Request{Kind: projections.Rollback, Subject: args[0]})
		if err != nil {
			return err
		}
		return out.print(a.stdout, op, func(w io.Writer) { operationTable(w, []operations.Operation{op}) })
	}
	return cmd
}
