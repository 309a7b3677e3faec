package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchLoad() *cobra.Command {
	var b bench.Load
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Measure the loading of one stream",
		Long:  "Measure the loading of one stream: recount against the bare query for its events.",
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each contender with each number of callers")
	cmd.Flags().IntSliceVar(&b.Callers, "callers", []int{1, 8, 64}, "how many streams are loaded at once")
	cmd.Flags().IntVar(&b.Events, "events", 10, "how many events a stream has")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
