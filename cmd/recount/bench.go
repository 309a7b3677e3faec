package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/rs/zerolog"
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
	}, a.benchAppend(), a.benchRead(), a.benchLoad(), a.benchProject(), a.benchRebuild(), a.benchHTTP(), a.benchGrowth(),
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

func (a *app) benchAppend() *cobra.Command {
	var b bench.Append
	cmd := &cobra.Command{
		Use:   "append",
		Short: "Measure appends",
		Long: `Measure appends: recount against
  counter-row  one transaction for each append, ordered by a row that all of them count up
  unordered    one transaction for each append, without an order that readers could rely on
  insert       a bare INSERT and commit of rows of the same shape
  copy         COPY of rows of the same shape`,
		Example: "  recount bench append --callers 64 --streams existing\n  recount bench append --callers 16 --batch 100 -o json",
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each contender with each number of callers")
	flags := cmd.Flags()
	flags.IntSliceVar(&b.Callers, "callers", []int{1, 8, 64, 256}, "how many callers append at once")
	flags.IntVar(&b.Batch, "batch", 1, "how many events an append has")
	streams := newChoice(bench.StreamsNew, bench.StreamsExisting, bench.StreamsHot)
	flags.Var(streams, "streams", "where appends go: each to a new stream, to existing ones, all to one")
	flags.BoolVar(&b.Snapshot, "snapshot", false, "hold a snapshot of the database open all the time, as a backup does")
	flags.StringSliceVar(&b.Only, "only", nil, "measure these contenders only")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		b.Streams = streams.value
		return a.runBench(cmd, o, b)
	}
	return cmd
}

func (a *app) benchRead() *cobra.Command {
	var b bench.Read
	cmd := &cobra.Command{
		Use:   "read",
		Short: "Measure reads of the whole log",
		Long:  "Measure reads of the whole log: recount against the same SELECT by the driver alone.",
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long to measure each contender with each number of callers")
	cmd.Flags().IntSliceVar(&b.Callers, "callers", []int{1, 2}, "how many readers read at once, each all of it")
	cmd.Flags().IntVar(&b.Events, "events", 200_000, "how long the log is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

func (a *app) benchLoad() *cobra.Command {
	var b bench.Load
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Measure the loading of one stream",
		Long:  "Measure the loading of one stream: recount against the bare query for its events.",
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each contender with each number of callers")
	cmd.Flags().IntSliceVar(&b.Callers, "callers", []int{1, 8, 64}, "how many streams are loaded at once")
	cmd.Flags().IntVar(&b.Events, "events", 10, "how many events a stream has")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

func (a *app) benchProject() *cobra.Command {
	var b bench.Project
	cmd := &cobra.Command{
		Use:   "project",
		Short: "Measure how read models follow the log",
		Long: `Measure how read models follow the log:
  live fold  one fold with a row for each stream, while events are appended at --rate
  live shop  all read models of the shop, while orders are placed at --shop-rate
  catch up   the fold, from the beginning of a log of --events
  loop       the same without an engine: an event, a row and the checkpoint in a transaction
The latency of the first two is from when an event was due until all have it.`,
	}
	o := benchFlags(cmd, &b.Duration, 10*time.Second, "how long events are appended")
	flags := cmd.Flags()
	flags.IntVar(&b.Rate, "rate", 20_000, "events a second for the fold")
	flags.IntVar(&b.ShopRate, "shop-rate", 5000, "orders a second for the shop")
	flags.IntVar(&b.Events, "events", 300_000, "how long the log is that the fold catches up with")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

func (a *app) benchRebuild() *cobra.Command {
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
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

func (a *app) benchHTTP() *cobra.Command {
	b := bench.HTTP{Serve: serveForBench}
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
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

func (a *app) benchGrowth() *cobra.Command {
	var b bench.Growth
	cmd := &cobra.Command{
		Use:   "growth",
		Short: "Measure whether a long log is slower than a short one",
		Long: `Measure whether a long log is slower than a short one: loads of streams, old and new ones, and appends,
with a log of 10,000 events and with longer ones. Most of their events are copied into the tables, as
the store would have written them. A million events take some 450 MB and seven seconds.`,
		Example: "  recount bench growth --events 1000000,10000000",
	}
	o := benchFlags(cmd, &b.Duration, 5*time.Second, "how long to measure each kind of work at each length")
	cmd.Flags().IntSliceVar(&b.Events, "events", []int{1_000_000, 10_000_000}, "how long the log is")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return a.runBench(cmd, o, b) }
	return cmd
}

// serveForBench starts what dev runs, on the log of a benchmark.
func serveForBench(ctx context.Context, dsn, schema string) (url string, stop func() error, err error) {
	ln, err := listen("127.0.0.1:0", "--listen")
	if err != nil {
		return "", nil, err
	}
	b, err := openBackend(ctx, backendConfig{
		dsn: dsn, schema: schema, roles: []string{roleAPI, roleProjections}, maxConns: 20, logger: zerolog.Nop(),
	})
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	serving, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- b.serve(serving, ln, nil) }()
	return urlOf(ln), func() error {
		cancel()
		return errors.Join(<-served, b.close(ctx))
	}, nil
}
