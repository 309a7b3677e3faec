package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (a *app) benchGrowth() *cobra.Command {
	var b bench.Growth
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure whether a long log is slower than a short one",
		Long: `Measure whether a long log is slower than a short one: loads of streams, old and new ones, and appends,
with a log of 10,000 events and with longer ones. Most of their events are copied into the tables, as
the store would have written them. A million events take some 450 MB and seven seconds.`,
		Example: "  recount bench growth --events 1000000,10000000",
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each kind of work at each length")
	cmd.Flags().IntSliceVar(&b.Events, "events", []int{1_000_000, 10_000_000}, "how long the log is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}
