package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchTransform() *cobra.Command {
	var b bench.Transform
	cmd := &cobra.Command{
		Use:   "transform",
		Short: "Measure how fast events become what targets get of them",
		Long: `Measure how fast an event of some 600 bytes becomes a body of three members, by a template and by JSONata, beside Go that
decodes it into a struct and encodes another. A template leaves the sum out. A call transforms 1,000 events, so that
its milliseconds are microseconds of each.`,
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each contender")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
