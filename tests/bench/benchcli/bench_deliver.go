package benchcli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchDeliver() *cobra.Command {
	var b bench.Deliver
	cmd := &cobra.Command{
		Use:   "deliver",
		Short: "Measure how subscriptions follow the log",
		Long: `Measure how subscriptions follow the log, in these parts:
  live      --subscriptions get all that is appended at --rate, in the same process and in another, and beside
            them --many of which as many match an event; the latency is from when an append returned until the
            last of them has the event
  idle      --many, and none, while nobody appends: a percentage of a processor, and all that goes to the WAL
  catch-up  a subscription from the beginning of a log of --events, to its end: all of it, one type of ten,
            in transactions of 1,000, and who only reads; the events are those of the log
  outage    half as many events, three streams of four failing: until theirs are rows (park), and from when the
            first succeeds until all are delivered (drain)
  http      a tenth of the events to a receiver in this process, 64 in flight, all attempts written down (target),
            signed besides (webhook), and posted without an engine (post)`,
		Example: "  {program} bench deliver --only live --subscriptions 1 --many 1000\n  {program} bench deliver --only idle --many 10000 --many-partitions 1",
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender; a log that was begun is finished")
	flags := cmd.Flags()
	flags.IntVar(&b.Rate, "rate", 10_000, "events a second")
	flags.IntVar(&b.Subscriptions, "subscriptions", 5, "how many subscriptions get every event")
	flags.IntVar(&b.Partitions, "partitions", 8, "how many partitions each of them has, and each that catches up")
	flags.IntVar(&b.Many, "many", 1000, "how many are many; a multiple of --subscriptions")
	flags.IntVar(&b.ManyPartitions, "many-partitions", 4, "how many partitions each of those has")
	flags.IntVar(&b.Events, "events", 1_000_000, "how long the log is")
	flags.StringSliceVar(&b.Only, "only", nil, "measure these parts only: "+strings.Join(bench.DeliverParts, ", "))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
