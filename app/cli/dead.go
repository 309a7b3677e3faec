package cli

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/delivery"
)

func (prog *Program) deadCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "dead", Short: "Inspect the dead letters of subscriptions, and decide on them"}
	d := prog.databaseFlags(cmd, "a server does it, see --server of the commands")
	return Group(cmd, prog.deadList(d), prog.deadShow(d), prog.deadRedrive(d), prog.deadDiscard(d), prog.deadResubmit(d))
}

// deadFlags pick dead letters.
type deadFlags struct {
	delivery.DeadFilter
	since, until string
}

func (f *deadFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Class, "class", "", "only those that are permanent, exhausted or expired")
	flags.StringVar(&f.Type, "type", "", "only events of this type")
	flags.StringVar(&f.Stream, "stream", "", "only events of this stream")
	flags.StringVar(&f.Error, "error", "", "only those whose error has this text")
	flags.StringVar(&f.since, "since", "", "only those that died at this time of RFC 3339 or later")
	flags.StringVar(&f.until, "until", "", "only those that died before this time")
}

// filter returns what the flags pick, of the given positions.
func (f *deadFlags) filter(cmd *cobra.Command, positions []string) (delivery.DeadFilter, error) {
	picked := f.DeadFilter
	for name, into := range map[string]*time.Time{"since": &picked.Since, "until": &picked.Until} {
		text, err := cmd.Flags().GetString(name)
		if err == nil && text != "" {
			*into, err = time.Parse(time.RFC3339Nano, text)
		}
		if err != nil {
			return picked, UsageError(cmd, "--%s must be a time such as 2026-01-02T15:04:05Z", name)
		}
	}
	for _, text := range positions {
		position, err := strconv.ParseInt(text, 10, 64)
		if err != nil || position < 1 {
			return picked, UsageError(cmd, "a position is a whole number from 1 on, not %q", text)
		}
		picked.Positions = append(picked.Positions, position)
	}
	return picked, nil
}

// picks returns which dead letters a command decides on.
func (f *deadFlags) picks(cmd *cobra.Command, args []string, all bool) (name string, picked delivery.DeadFilter, err error) {
	if len(args) == 0 {
		return "", picked, UsageError(cmd, "%s needs a subscription", cmd.CommandPath())
	}
	picked, err = f.filter(cmd, args[1:])
	switch {
	case err != nil:
	case picked.IsZero() && !all:
		err = UsageError(cmd, "say which: positions, --all, or --class, --type, --stream, --error, --since, --until")
	case all && !picked.IsZero():
		err = UsageError(cmd, "say --all, or which; not both")
	}
	return args[0], picked, err
}

// describeWished says what is asked for, or would be.
func describeWished(w delivery.Wished, done string) string {
	if w.DryRun {
		return fmt.Sprintf("%d dead letters of %s would be %s", w.Count, w.Subscription, done)
	}
	return fmt.Sprintf("%d dead letters of %s are to be %s", w.Count, w.Subscription, done)
}
