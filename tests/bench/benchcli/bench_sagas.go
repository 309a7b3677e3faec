package benchcli

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchSagas() *cobra.Command {
	var b bench.Sagas
	cmd := &cobra.Command{
		Use:   "sagas",
		Short: "Measure how fast sagas get on",
		Long: `Measure how fast sagas get on, in these parts:
  orders  orders of the shop, --in-flight at once, from being placed until their saga has ended: five steps that are
          commands, 19 events an order, without and with the read models of shop and sagas; the shop's own checkout
          until the order is confirmed, by a gateway that answers at once; and bare appends of the 19 events, an
          append a step
  steps   from step to step: of calls that do nothing, and of commands as a fifth of the time of an order
  timers  --timers that wait, and 1,000: a percentage of a processor, WAL and memory of the process; and how many are
          set and cancelled in a second beside them, with their read models`,
		Example: "  {program} bench sagas --only orders --in-flight 256\n  {program} bench sagas --only timers --timers 100000",
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender")
	flags := cmd.Flags()
	flags.IntSliceVar(&b.InFlight, "in-flight", []int{1, 64, 256}, "how many orders are under way at once")
	flags.IntVar(&b.Timers, "timers", 1_000_000, "how many timers wait")
	flags.StringSliceVar(&b.Only, "only", nil, "measure these parts only: "+strings.Join(bench.SagaParts, ", "))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
