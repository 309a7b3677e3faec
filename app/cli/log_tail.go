package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/eventstore"
)

// tail is what log tail is asked for.
type tail struct {
	last   int64
	from   string
	follow bool
	filter eventstore.Filter
}

func (t *tail) check() error {
	if t.last < 0 {
		return errors.New("--last must not be negative")
	}
	if t.from == "" || t.from == "end" {
		return nil
	}
	if n, err := strconv.ParseInt(t.from, 10, 64); err != nil || n < 0 {
		return fmt.Errorf("--from must be a position or end, got %q", t.from)
	}
	return nil
}

// run calls show with the events asked for, in order, and with those to come if it is to follow.
func (t *tail) run(ctx context.Context, log eventstore.Reader, show func(eventstore.RecordedEvent) error) error {
	head, err := log.Head(ctx)
	if err != nil {
		return err
	}
	next := head.Position + 1
	switch t.from {
	case "end":
	case "":
		events, err := lastEvents(ctx, log, head.Position, t.last, t.filter)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := show(e); err != nil {
				return err
			}
		}
	default:
		if next, err = strconv.ParseInt(t.from, 10, 64); err != nil {
			return err
		}
	}
	if t.follow {
		return followLog(ctx, log, eventstore.ReadOptions{From: next, Filter: t.filter}, show)
	}
	for e, err := range log.ReadAll(ctx, eventstore.ReadOptions{From: next, Filter: t.filter}) {
		if err != nil {
			return err
		}
		if err := show(e); err != nil {
			return err
		}
	}
	return nil
}

func (prog *Program) logTail(d *database) *cobra.Command {
	var t tail
	cmd := &cobra.Command{
		Use:   "tail",
		Short: "Print the events of the log, the last ones unless --from says otherwise",
		Long: `Print the events of the log, the last ones unless --from says otherwise. With -o json each event is
an object on a line of its own.`,
		Example: `  {program} log tail --follow
  {program} log tail --from 1 --category order --type OrderPlaced -o json`,
		Args: NoArgs,
	}
	out := OutputFlag(cmd)
	flags := cmd.Flags()
	flags.Int64VarP(&t.last, "last", "n", 20, "how many of the last events to begin with")
	flags.StringVar(&t.from, "from", "", "position to begin with, or end for what is yet to come")
	flags.BoolVarP(&t.follow, "follow", "f", false, "go on with what is appended")
	flags.StringSliceVar(&t.filter.Types, "type", nil, "only events of this type (may be repeated)")
	flags.StringSliceVar(&t.filter.Categories, "category", nil, "only events of streams of this category (may be repeated)")
	flags.StringSliceVar(&t.filter.StreamPrefixes, "prefix", nil, "only events of streams whose name begins so (may be repeated)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if flags.Changed("last") && flags.Changed("from") {
			return UsageError(cmd, "give --from or --last, not both")
		}
		if err := t.check(); err != nil {
			return UsageError(cmd, "%s", err)
		}
		return d.withLog(cmd.Context(), app.Options{}, func(s *app.Service) error {
			if err := printEventHeader(prog.Stdout, out); err != nil {
				return err
			}
			return t.run(cmd.Context(), s.Log, func(e eventstore.RecordedEvent) error {
				return printEvent(prog.Stdout, out, eventOf(e))
			})
		})
	}
	return cmd
}

// lastEvents returns the last n events up to a position, in order.
func lastEvents(ctx context.Context, log eventstore.Reader, upTo, n int64, filter eventstore.Filter) ([]eventstore.RecordedEvent, error) {
	if n == 0 || upTo == 0 {
		return nil, nil
	}
	var events []eventstore.RecordedEvent
	for e, err := range log.ReadAll(ctx, eventstore.ReadOptions{From: upTo, Backwards: true, Limit: n, Filter: filter}) {
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	slices.Reverse(events)
	return events, nil
}

func followLog(ctx context.Context, log eventstore.Reader, o eventstore.ReadOptions, show func(eventstore.RecordedEvent) error) error {
	for batch, err := range log.Subscribe(ctx, o) {
		if err != nil {
			return err
		}
		for _, e := range batch.Events {
			if err := show(e); err != nil {
				return err
			}
		}
	}
	return nil
}
