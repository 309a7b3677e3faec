package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchProject() *cobra.Command {
	var b bench.Project
	cmd := &cobra.Command{
		Use:   "project",
		Short: "Measure how read models follow the log",
		Long: `Measure how read models follow the log:
  live fold  one fold with a row for each stream, while events are appended at --rate
  live shop  all read models of the shop, while orders are placed at --shop-rate
  elsewhere  a store that is told by notifications only, as another process is, at 1,000 events a second
  catch up   the fold, from the beginning of a log of --events
  loop       the same without an engine: an event, a row and the checkpoint in a transaction
The latency of the first three is from when an event was due until all have it.`,
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long events are appended")
	flags := cmd.Flags()
	flags.IntVar(&b.Rate, "rate", 20_000, "events a second for the fold")
	flags.IntVar(&b.ShopRate, "shop-rate", 5000, "orders a second for the shop")
	flags.IntVar(&b.Events, "events", 300_000, "how long the log is that the fold catches up with")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
