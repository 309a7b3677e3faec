package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
	"github.com/57528e99/recount/projections"
)

func (prog *Program) projectionsRepair(d *database) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "repair NAME KEY",
		Short:   "Make one row of a projection anew from the log",
		Long:    "Make one row of a projection anew from the log. A key of several columns is a JSON array of their values.",
		Example: "  {program} projections repair orders 1001",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return UsageError(cmd, "%s needs a projection and a key, got %d arguments", cmd.CommandPath(), len(args))
			}
			return nil
		},
	}
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	ignoreFlag(cmd.Flags(), &target.options.IgnoreTypes)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		op, err := prog.operate(cmd.Context(), target, operations.Request{
			Kind: projections.Repair, Subject: args[0], Options: operations.Options{Key: args[1]}})
		if err != nil {
			return err
		}
		var r projections.Repaired
		if err := json.Unmarshal(op.Result, &r); err != nil {
			return fmt.Errorf("read the result: %w", err)
		}
		return out.Print(prog.Stdout, r, func(w io.Writer) {
			if !r.Changed {
				fmt.Fprintf(w, "%s %s is as the log says: %s\n", r.Projection, asText(r.Key), asText(r.After))
				return
			}
			fmt.Fprintf(w, "%s %s\n  before: %s\n  now:    %s\n", r.Projection, asText(r.Key), asText(r.Before), asText(r.After))
		})
	}
	return cmd
}
