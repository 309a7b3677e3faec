package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/57528e99/recount/tests/bench"
)

func (a *app) benchCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "bench",
		Short: "Measure how fast this program is on this machine",
		Long: `Measure how fast this program is on this machine, against the plainest ways to do the same on the same
PostgreSQL, in turns. Trust the ratios more than the rates.

By default it starts a PostgreSQL, with fsync, and throws it away. With --database it measures the
given one, in schemas of its own, which it removes.`,
	}, a.benchAppend(), a.benchRead(), a.benchLoad(), a.benchProject(), a.benchRebuild(), a.benchHTTP(),
		a.benchCompare(), a.benchReport())
}

// benchOptions are the flags that all benchmarks have.
type benchOptions struct {
	database, cpuProfile string
	out                  output
}

// benchFlags adds them to the command of a benchmark. What says what lasts for duration, otherwise how long
// by default.
func benchFlags(cmd *cobra.Command, duration *time.Duration, otherwise time.Duration, what string) *benchOptions {
	o := &benchOptions{out: outputFlag(cmd)}
	flags := cmd.Flags()
	// Not from the environment: nobody wants to put a load on a database by accident.
	flags.StringVar(&o.database, "database", "", "address of a PostgreSQL to measure instead of an own one")
	flags.DurationVar(duration, "duration", otherwise, what)
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "write a profile of this process to a file, for go tool pprof")
	cmd.Args = noArgs
	return o
}

// runBench measures b and prints what came out.
func (a *app) runBench(cmd *cobra.Command, o *benchOptions, b bench.Benchmark) error {
	return a.printBench(cmd, o, b, func(options bench.Options) (bench.Report, error) { return bench.Run(cmd.Context(), options, b) })
}

// printBench prints what came out when run measured b.
func (a *app) printBench(cmd *cobra.Command, o *benchOptions, b bench.Benchmark, run func(bench.Options) (bench.Report, error)) error {
	if o.database != "" {
		if err := (&database{url: o.database}).check(); err != nil {
			return err
		}
	}
	p := a.progress("bench " + b.Name())
	report, err := run(bench.Options{
		Database: o.database, Version: readBuild().Version, Command: commandLine(cmd), Progress: p.say, CPUProfile: o.cpuProfile,
	})
	p.end()
	switch {
	case errors.Is(err, bench.ErrInvalid):
		return usageError(cmd, "%s", err)
	case err != nil:
		return err
	case o.out.json():
		return report.WriteJSON(a.stdout)
	}
	return report.WriteTable(a.stdout)
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
