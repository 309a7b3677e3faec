package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchWindow() *cobra.Command {
	var b bench.Window
	cmd := &cobra.Command{
		Use:   "window",
		Short: "Measure how fast a subscription counts events in windows of time",
		Long: `Measure how fast a subscription counts the events of a log in windows of a minute, of --keys keys, and appends what
they come to when they close, beside handlers in the same transactions that count in a table by a statement for each
event, or for each batch, and know nothing of late events and of closing.`,
	}
	o := benchFlags(cmd, &b.Duration, 9*time.Second, "how long each contender takes at least")
	flags := cmd.Flags()
	flags.IntVar(&b.Events, "events", 300_000, "how many events the log has")
	flags.IntVar(&b.Keys, "keys", 1000, "of how many keys they are")
	flags.IntVar(&b.Partitions, "partitions", 4, "how many partitions the subscription has")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
