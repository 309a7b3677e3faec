package benchcli

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchArchive() *cobra.Command {
	var b bench.Archive
	cmd := &cobra.Command{
		Use:   "archive",
		Short: "Measure how events are kept in files, and read again",
		Long: `Measure how events with some 200 bytes of data are kept in files of 10,000, which are safe on the disk, and read again from files that
overlap, against JSON and zstd by themselves in memory. It needs no database.`,
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each")
	cmd.Flags().StringVar(&b.Dir, "dir", "", "where to make the files (default the directory for temporary files)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return prog.runBench(cmd, o, b) }
	return cmd
}
