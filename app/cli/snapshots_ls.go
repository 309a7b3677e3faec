package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/snapshots"
)

func (prog *Program) snapshotsList(d *database) *cobra.Command {
	var q snapshots.Query
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "List the snapshots, and the version of their streams that each begins with",
		Example: "  {program} snapshots ls --category stock --limit 10",
		Args:    NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.Flags().StringVar(&q.Decider, "category", "", "category to list (default all)")
	cmd.Flags().StringVar(&q.Stream, "stream", "", "stream to list (default all)")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "how many to list at most; 0: all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if q.Limit < 0 {
			return UsageError(cmd, "--limit must not be negative")
		}
		return d.withService(cmd.Context(), app.Options{}, func(s *app.Service) error {
			all, err := s.Snapshots.List(cmd.Context(), q)
			if err != nil {
				return err
			}
			return out.Print(prog.Stdout, listOf(all), func(w io.Writer) { snapshotTable(w, all) })
		})
	}
	return cmd
}

func snapshotTable(w io.Writer, all []snapshots.Info) {
	fmt.Fprintln(w, "CATEGORY\tSTREAM\tVERSION\tSCHEMA\tPOSITION\tRECORDED\tTAKEN\tBYTES")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\t%s\t%d\n", s.Decider, s.Stream, s.Version, s.SchemaVersion, s.Position,
			s.RecordedAt.Format(timeFormat), s.TakenAt.Format(timeFormat), s.Bytes)
	}
}
