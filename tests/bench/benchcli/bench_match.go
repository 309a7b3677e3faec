package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchMatch() *cobra.Command {
	var b bench.Match
	cmd := &cobra.Command{
		Use:   "match",
		Short: "Measure how events find the rules that they match",
		Long: `Measure how events with some 200 bytes of data find the rules, that is filters of subscriptions, that they match:
with each number of --rules, by kind of rule, against decoding the JSON and no more. A call matches 1,000 events,
so that its milliseconds are microseconds of each.`,
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure with each number and kind of rules")
	cmd.Flags().IntSliceVar(&b.Rules, "rules", []int{10, 1000, 50_000}, "how many rules there are")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
