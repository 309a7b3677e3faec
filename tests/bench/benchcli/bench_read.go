package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchRead() *cobra.Command {
	var b bench.Read
	cmd := &cobra.Command{
		Use:   "read",
		Short: "Measure reads of the whole log",
		Long:  "Measure reads of the whole log: recount against the same SELECT by the driver alone.",
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender with each number of callers")
	cmd.Flags().IntSliceVar(&b.Callers, "callers", []int{1, 2}, "how many readers read at once, each all of it")
	cmd.Flags().IntVar(&b.Events, "events", 200_000, "how long the log is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
