package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchAppend() *cobra.Command {
	var b bench.Append
	cmd := &cobra.Command{
		Use:   "append",
		Short: "Measure appends",
		Long: `Measure appends: recount against
  counter-row  one transaction for each append, ordered by a row that all of them count up
  unordered    one transaction for each append, without an order that readers could rely on
  insert       a bare INSERT and commit of rows of the same shape
  copy         COPY of rows of the same shape`,
		Example: "  {program} bench append --callers 64 --streams existing\n  {program} bench append --callers 16 --batch 100 -o json",
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each contender with each number of callers")
	flags := cmd.Flags()
	flags.IntSliceVar(&b.Callers, "callers", []int{1, 8, 64, 256}, "how many callers append at once")
	flags.IntVar(&b.Batch, "batch", 1, "how many events an append has")
	streams := cli.NewChoice(bench.StreamsNew, bench.StreamsExisting, bench.StreamsHot)
	flags.Var(streams, "streams", "where appends go: each to a new stream, to existing ones, all to one")
	flags.BoolVar(&b.Snapshot, "snapshot", false, "hold a snapshot of the database open all the time, as a backup does")
	flags.StringSliceVar(&b.Only, "only", nil, "measure these contenders only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b.Streams = streams.String()
		return prog.runBench(cmd, o, b)
	}
	return cmd
}
