package benchcli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/tests/bench"
)

func (prog program) benchReport() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "report FILE",
		Short: "Write a page of what was measured",
		Long: `Write a page of what was measured: benchmarks.md, in --to. FILE has what the benchmarks printed with
-o json, one after the other; - reads it from stdin.`,
		Example: "  {program} bench append -o json >reports.json\n  {program} bench report reports.json --to docs",
		Args:    cli.OneArg("file"),
	}
	cmd.Flags().StringVar(&dir, "to", "docs", "folder to write to")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		reports, err := prog.readReports(args[0])
		if err != nil {
			return err
		}
		if len(reports) == 0 {
			return cli.Fail(cli.ExitUsage, fmt.Errorf("there are no reports in %s", args[0]), "write some: {program} bench append -o json >"+args[0])
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, bench.Page), bench.Render(reports), 0o644)
	}
	return cmd
}

func (prog program) readReports(name string) ([]bench.Report, error) {
	if name == "-" {
		return bench.ReadAll(prog.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, cli.Fail(cli.ExitNotFound, err, "write it: {program} bench append -o json >"+name)
	}
	reports, err := bench.ReadAll(f)
	return reports, errors.Join(err, f.Close())
}
