package cli

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/eventstore"
)

func (prog *Program) streamsShow(d *database) *cobra.Command {
	var from, limit int64
	var backwards bool
	cmd := &cobra.Command{
		Use:     "show STREAM",
		Short:   "Print the events of a stream",
		Example: "  {program} streams show order-42\n  {program} streams show order-42 --backwards --limit 1 -o json",
		Args:    OneArg("stream"),
	}
	out := OutputFlag(cmd)
	flags := cmd.Flags()
	flags.Int64Var(&from, "from", 0, "version to begin with (default the first, or with --backwards the last)")
	flags.Int64Var(&limit, "limit", 100, "how many events to print at most; 0: all")
	flags.BoolVar(&backwards, "backwards", false, "print the last event first")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if from < 0 || limit < 0 {
			return UsageError(cmd, "--from and --limit must not be negative")
		}
		o := eventstore.ReadOptions{From: from, Backwards: backwards}
		if backwards && !flags.Changed("from") {
			o.From = eventstore.End
		}
		return d.withLog(cmd.Context(), app.Options{}, func(s *app.Service) error {
			events, err := readStream(cmd.Context(), s.Log, args[0], o, limit)
			if err != nil {
				return d.explainMissing(cmd, args[0], err)
			}
			return out.Print(prog.Stdout, events, func(w io.Writer) { streamTable(w, events) })
		})
	}
	return cmd
}

// readStream reads at most limit events, and one more to tell whether and where it goes on.
func readStream(ctx context.Context, log eventstore.Reader, stream string, o eventstore.ReadOptions, limit int64) (list[event], error) {
	if limit > 0 {
		o.Limit = limit + 1
	}
	events := listOf[event](nil)
	for e, err := range log.ReadStream(ctx, stream, o) {
		if err != nil {
			return events, err
		}
		if limit > 0 && int64(len(events.Items)) == limit {
			events.Next = &e.Version
			break
		}
		events.Items = append(events.Items, eventOf(e))
	}
	return events, nil
}

func streamTable(w io.Writer, events list[event]) {
	fmt.Fprintln(w, "VERSION\tPOSITION\tRECORDED\tTYPE\tDATA")
	for _, e := range events.Items {
		fmt.Fprintf(w, "%d\t%d\t%s\t%s\t%s\n", e.Version, e.Position, e.RecordedAt.Format(timeFormat), Cell(e.Type, 60), e.summary())
	}
	if events.Next != nil {
		fmt.Fprintf(w, "\nmore with --from %d\n", *events.Next)
	}
}
