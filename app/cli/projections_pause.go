package cli

import (
	"context"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/operations"
)

func (prog *Program) projectionsPause(d *database) *cobra.Command {
	return prog.projectionsSteer(d, &cobra.Command{
		Use:   "pause NAME|--all",
		Short: "Stop a projection, whichever process runs it, until it is resumed",
	}, true, operator.Pause)
}

func (prog *Program) projectionsSteer(d *database, cmd *cobra.Command, paused bool, steer func(op operator, ctx context.Context, name, reason, actor string) error) *cobra.Command {
	all, reason := false, ""
	cmd.Flags().BoolVar(&all, "all", false, "all projections of the log")
	reasonFlag(cmd.Flags(), &reason, "it is "+pastOf(paused))
	out := OutputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := prog.namesOrAll(cmd, args, all); err != nil {
			return err
		}
		return target.with(cmd.Context(), func(op operator) error {
			names := args
			if all {
				found, err := op.List(cmd.Context())
				if err != nil {
					return err
				}
				for _, s := range found {
					names = append(names, s.Projection)
				}
				names = slices.Compact(names)
			}
			var without []string
			var failed []error
			for _, name := range names {
				err := steer(op, cmd.Context(), name, reason, actor())
				if err == nil {
					err = out.Print(prog.Stdout, operations.Desired{Name: name, Paused: paused}, func(w io.Writer) { fmt.Fprintln(w, name, "is", pastOf(paused)) })
				}
				if err != nil {
					without, failed = append(without, name), append(failed, err)
				}
			}
			return prog.failedFor(cmd.Name(), len(names), without, failed)
		})
	}
	return cmd
}

// pastOf says what became of what was paused or resumed.
func pastOf(paused bool) string {
	if paused {
		return "paused"
	}
	return "resumed"
}
