// Chaos breaks a running Recount on purpose for a while and checks that it kept
// its promises: see package chaos.
//
//	go run ./tests/chaos/cmd/chaos --duration 1m
//
// It exits with 0 if no promise was broken, 1 if one was, 2 if it could not
// tell.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/57528e99/recount/tests/chaos"
	"github.com/57528e99/recount/tests/chaos/work"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) > 1 && os.Args[1] == "work" {
		if err := work.Run(ctx, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	code, err := run(ctx, os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
	}
	os.Exit(code)
}

func run(ctx context.Context, args []string) (code int, err error) {
	var c chaos.Config
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.Uint64Var(&c.Seed, "seed", uint64(time.Now().UnixNano())%1_000_000, "makes the plan: the same seed, the same plan")
	flags.DurationVar(&c.Duration, "duration", time.Minute, "how long to break things")
	flags.IntVar(&c.Faults, "faults", 0, "how many faults, about (default five a second)")
	flags.IntVar(&c.MinFaults, "min-faults", 0, "how many must have happened in the end")
	flags.IntVar(&c.Events, "events", 0, "how many events must be acknowledged in the end")
	flags.StringVar(&c.Dir, "dir", "", "an empty folder for histories and logs, which is kept")
	flags.BoolVar(&c.SkipLosses, "skip-losses", false, "neither restore a backup nor fail over at the end")
	flags.StringVar(&c.Mutant, "mutant", "", "the bug to put into all programs, of tests/mutants")
	flags.StringVar(&c.Recount, "recount", "", "the program to run, built with -tags failpoints (default: built now)")
	flags.StringVar(&c.Worker, "worker", "", "this program, built with -tags failpoints (default: built now)")
	page := flags.String("write", "", "a page to put the report into, in its place")
	quiet := flags.Bool("q", false, "do not say what happens meanwhile")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0, nil
		}
		return 2, nil // it has been said
	}
	if flags.NArg() > 0 {
		return 2, errors.New("it takes no arguments but flags")
	}
	if !*quiet {
		c.Log = os.Stderr
	}
	c.Command = strings.Join(append([]string{"go run ./tests/chaos/cmd/chaos"}, args...), " ")
	fmt.Fprintf(os.Stderr, "seed %d\n", c.Seed)
	report, err := chaos.Run(ctx, c)
	if err != nil {
		return 2, err
	}
	fmt.Print(report.Markdown())
	if *page != "" {
		if err := chaos.Replace(*page, chaos.Place, []byte(report.Markdown())); err != nil {
			return 2, err
		}
	}
	if len(report.Violations) > 0 {
		return 1, nil
	}
	return 0, nil
}
