package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchRebuild() *cobra.Command {
	var b bench.Rebuild
	cmd := &cobra.Command{
		Use:   "rebuild",
		Short: "Measure how read models are built anew",
		Long: `Measure how read models are built anew from a whole log:
  rebuild  a fold with a row for each stream, from a log of --events
  loop     the same without an engine: an event, a row and the checkpoint in a transaction
and the read models of the shop, each by its name, from a log of --shop-events. Rates count the events of
the log, whether or not the read model is about them.`,
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender; a rebuild that was begun is finished")
	flags := cmd.Flags()
	flags.IntVar(&b.Events, "events", 1_000_000, "how long the log of the fold is")
	flags.IntVar(&b.ShopEvents, "shop-events", 200_000, "about how long the log of the shop is; 0 leaves the shop out")
	flags.IntVar(&b.MemoryMiB, "memory", 256, "MiB that rows may take at once")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
