package main

import (
	"fmt"
	"io"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

func (a *app) snapshotsPurge(d *database) *cobra.Command {
	var category, stream string
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove snapshots: those of a category, of a stream, or all",
		Long: `Remove snapshots: those of a category, of a stream, or all. The events remain, and new snapshots are
made as streams grow, or by recount snapshots rebuild. But a stream whose first events are hidden by
its metadata cannot be loaded without its snapshot, until its metadata shows them again.`,
		Args: noArgs,
	}
	out := outputFlag(cmd)
	cmd.Flags().StringVar(&category, "category", "", "category to remove snapshots of (default all)")
	cmd.Flags().StringVar(&stream, "stream", "", "stream to remove the snapshot of (default all)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := a.confirm(cmd.Context(), yes, "streams that are truncated cannot be loaded without their snapshots"); err != nil {
			return err
		}
		return d.withService(cmd.Context(), nil, zerolog.Nop(), func(s *service) error {
			n, err := s.snapshots.Purge(cmd.Context(), category, stream)
			if err != nil {
				return err
			}
			return out.print(a.stdout, map[string]int64{"removed": n}, func(w io.Writer) { fmt.Fprintf(w, "removed %d\n", n) })
		})
	}
	return cmd
}
