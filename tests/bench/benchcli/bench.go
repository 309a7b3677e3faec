// Package benchcli adds the benchmarks to a command line.
package benchcli

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/tests/bench"
)

// Extension returns the command bench.
func Extension() cli.Extension {
	return cli.Extension{Commands: func(prog *cli.Program) []*cobra.Command { return []*cobra.Command{program{prog}.benchCommand()} }}
}

type program struct{ *cli.Program }

func (prog program) benchCommand() *cobra.Command {
	return cli.Group(&cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this program is on this machine",
		Long: `Measure how fast this program is on this machine, against the plainest ways to do the same on the same
PostgreSQL, in turns. Trust the ratios more than the rates.

By default it starts a PostgreSQL, with fsync, and throws it away. With --database it measures the
given one, in schemas of its own, which it removes.`,
	}, prog.benchAppend(), prog.benchRead(), prog.benchLoad(), prog.benchProject(), prog.benchRebuild(), prog.benchHTTP(),
		prog.benchDeliver(), prog.benchPull(), prog.benchMatch(), prog.benchTransform(), prog.benchArchive(), prog.benchWindow(), prog.benchSagas(), prog.benchCompare(), prog.benchReport())
}

// benchOptions are the flags that all benchmarks have.
type benchOptions struct {
	database, cpuProfile string
	out                  cli.Output
}

// benchFlags adds them to the command of a benchmark. What says what lasts for duration, otherwise
// how long by default.
func benchFlags(cmd *cobra.Command, duration *time.Duration, otherwise time.Duration, what string) *benchOptions {
	o := &benchOptions{out: cli.OutputFlag(cmd)}
	flags := cmd.Flags()
	// Not from the environment: nobody wants to put a load on a database by accident.
	flags.StringVar(&o.database, "database", "", "address of a PostgreSQL to measure instead of an own one")
	flags.DurationVar(duration, "duration", otherwise, what)
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "write a profile of this process to a file, for go tool pprof")
	cmd.Args = cli.NoArgs
	return o
}

// runBench measures b and prints what came out.
func (prog program) runBench(cmd *cobra.Command, o *benchOptions, b bench.Benchmark) error {
	return prog.printBench(cmd, o, b, func(options bench.Options) (bench.Report, error) { return bench.Run(cmd.Context(), options, b) })
}

// printBench prints what came out when run measured b.
func (prog program) printBench(cmd *cobra.Command, o *benchOptions, b bench.Benchmark, run func(bench.Options) (bench.Report, error)) error {
	if o.database != "" {
		if err := cli.CheckDSN(o.database); err != nil {
			return err
		}
	}
	p := prog.Progress("bench " + b.Name())
	report, err := run(bench.Options{
		Database: o.database, Version: app.BuildOf(prog.App).Version, Command: commandLine(cmd), Progress: p.Say, CPUProfile: o.cpuProfile,
	})
	p.End()
	switch {
	case errors.Is(err, bench.ErrInvalid):
		return cli.UsageError(cmd, "%s", err)
	case err != nil:
		return err
	case o.out.JSON():
		return report.WriteJSON(prog.Stdout)
	}
	return report.WriteTable(prog.Stdout)
}

// commandLine is how to measure the same again: without an address that may have a password in it.
func commandLine(cmd *cobra.Command) string {
	words := []string{cmd.CommandPath()}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		switch {
		case f.Name == "output" || f.Name == "database" || f.Name == "cpuprofile":
		case f.Value.String() == f.NoOptDefVal:
			words = append(words, "--"+f.Name)
		default:
			words = append(words, "--"+f.Name, strings.Trim(f.Value.String(), "[]"))
		}
	})
	return strings.Join(words, " ")
}
