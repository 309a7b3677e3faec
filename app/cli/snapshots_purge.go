package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
)

func (prog *Program) snapshotsPurge(d *database) *cobra.Command {
	var category, stream string
	var yes bool
	cmd := &cobra.Command{
		Use:   "purge",
		Short: "Remove snapshots: those of a category, of a stream, or all",
		Long: `Remove snapshots: those of a category, of a stream, or all. The events remain, and new snapshots are
made as streams grow, or by {program} snapshots rebuild. But a stream whose first events are hidden by
its metadata cannot be loaded without its snapshot, until its metadata shows them again.`,
		Args: NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.Flags().StringVar(&category, "category", "", "category to remove snapshots of (default all)")
	cmd.Flags().StringVar(&stream, "stream", "", "stream to remove the snapshot of (default all)")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := prog.confirm(cmd.Context(), yes, "streams that are truncated cannot be loaded without their snapshots"); err != nil {
			return err
		}
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error {
			n, err := s.Snapshots.Purge(cmd.Context(), category, stream)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, map[string]int64{"removed": n}, func(w io.Writer) { fmt.Fprintf(w, "removed %d\n", n) })
		})
	}
	return cmd
}
