package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/snapshots"
)

func (prog *Program) snapshotsRebuild(d *database) *cobra.Command {
	var category, stream string
	var every map[string]int
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Make snapshots anew from the events, whatever is there",
		Long: `Make snapshots anew from the events, whatever is there, in one pass over the log. Servers may run
meanwhile. Streams whose first events are hidden by their metadata keep the snapshot they have, if it
fits.`,
		Example: "  {program} snapshots rebuild --category stock\n  {program} snapshots rebuild --stream stock-85123A",
		Args:    NoArgs,
	}
	out := OutputFlag(cmd)
	cmd.Flags().StringVar(&category, "category", "", "category to make anew (default all)")
	cmd.Flags().StringVar(&stream, "stream", "", "stream to make anew (default all)")
	prog.snapshotFlag(cmd.Flags(), &every)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o := app.Options{SnapshotEvery: every, Logger: prog.warnings()}
		return d.withService(cmd.Context(), o, func(s *app.Service) error {
			sources, err := pickSources(s.Commands.SnapshotSources(), category, stream)
			if err != nil {
				return err
			}
			var sum snapshots.Rebuilt
			for _, source := range sources {
				done, err := s.Snapshots.Rebuild(cmd.Context(), s.Log, source, stream, s.Logger)
				if err != nil {
					return err
				}
				sum.Made += done.Made
				sum.Removed += done.Removed
				sum.Without += done.Without
			}
			return out.Print(prog.Stdout, sum, func(w io.Writer) {
				fmt.Fprintln(w, "MADE\tREMOVED\tWITHOUT")
				fmt.Fprintf(w, "%d\t%d\t%d\n", sum.Made, sum.Removed, sum.Without)
			})
		})
	}
	return cmd
}

// pickSources returns the sources of a category or a stream; all if neither is given.
func pickSources(all []commands.SnapshotSource, category, stream string) ([]commands.SnapshotSource, error) {
	var picked []commands.SnapshotSource
	var names []string
	for _, source := range all {
		names = append(names, source.Category())
		if (category == "" || category == source.Category()) && (stream == "" || strings.HasPrefix(stream, source.Category()+"-")) {
			picked = append(picked, source)
		}
	}
	if len(picked) == 0 {
		return nil, &Failure{ExitNotFound, errors.New("there are no snapshots of that category"),
			"the categories with snapshots are: " + strings.Join(names, ", ")}
	}
	return picked, nil
}
