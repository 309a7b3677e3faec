package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchPull() *cobra.Command {
	var p bench.Pull
	cmd := &cobra.Command{
		Use:   "pull",
		Short: "Measure how fast callers get events and acknowledge them",
		Long: `Measure how fast callers who compete get the events of a subscription, in order of streams, and acknowledge
them, also if they give one of ten back the first time; and how fast they take rows of a plain table of jobs with
SKIP LOCKED and delete them, in no order. The latency is that of a caller for all that it gets.`,
		Example: "  {program} bench pull --batch 100 --events 200000",
	}
	o := benchFlags(cmd, &p.Duration, 10*time.Second, "how long to measure each contender with each batch")
	flags := cmd.Flags()
	flags.IntVar(&p.Callers, "callers", 32, "how many callers compete")
	flags.IntSliceVar(&p.Batches, "batch", []int{1, 10, 100}, "how many events a caller asks for at once")
	flags.IntVar(&p.Events, "events", 20_000, "how many events there are in a round")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, p) }
	return cmd
}
