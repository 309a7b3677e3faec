package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchHTTP() *cobra.Command {
	var b bench.HTTP
	cmd := &cobra.Command{
		Use:   "http",
		Short: "Measure the shop over HTTP",
		Long: `Measure the shop over HTTP, server and client in one process:
  POST order  places an order, with an idempotency key
  insert      a bare INSERT and commit by the driver
  GET order   reads an order
  select row  reads its row by the driver`,
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender with each number of connections")
	cmd.Flags().IntSliceVar(&b.Connections, "connections", []int{64}, "how many connections send requests, each one at a time")
	cmd.Flags().IntVar(&b.Orders, "orders", 5000, "how many orders there are to begin with")
	cmd.Flags().BoolVar(&b.CommandsOnly, "commands-only", false, "run no read models, and read nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
