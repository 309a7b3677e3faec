package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/projections"
)

func (a *app) projectionsPause(d *database) *cobra.Command {
	return a.projectionsSteer(d, &cobra.Command{
		Use:   "pause NAME",
		Short: "Stop a projection, whichever process runs it, until it is resumed",
	}, true, operator.Pause)
}

func (a *app) projectionsSteer(d *database, cmd *cobra.Command, paused bool, steer func(operator, context.Context, string) error) *cobra.Command {
	cmd.Args = oneArg("projection")
	out := outputFlag(cmd)
	target := targetFlags(cmd, d)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return target.with(cmd.Context(), func(op operator) error {
			if err := steer(op, cmd.Context(), args[0]); err != nil {
				return err
			}
			now := "resumed"
			if paused {
				now = "paused"
			}
			return out.print(a.stdout, projections.Desired{Name: args[0], Paused: paused}, func(w io.Writer) { fmt.Fprintln(w, args[0], "is", now) })
		})
	}
	return cmd
}
