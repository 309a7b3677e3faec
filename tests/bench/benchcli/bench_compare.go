package benchcli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/tests/bench"
)

// noPeers is what --peers takes to compare with baselines only.
const noPeers = "none"

func (prog program) benchCompare() *cobra.Command {
	var b bench.Compare
	var peers []string
	cmd := &cobra.Command{
		Use:   "compare",
		Short: "Measure Recount beside other event stores",
		Long: `Measure Recount beside other event stores on the same PostgreSQL: appends, loads of a stream, reads of
all events, and how many events a reader misses that follows 16 writers. The peers:
  message-db     Message DB, all streams in one category
  message-db-16  the same with 16 categories; appends only
  hallgren       github.com/hallgren/eventsourcing
  aneshas        github.com/aneshas/eventstore
  goes           github.com/modernice/goes
and the baselines counter-row and unordered, as in {program} bench append.

Peers are in the module tests/bench/peers of Recount's repository, so that others need not download them. So run
this somewhere in a clone of the repository, with Go installed: it builds that module, and what it
measures is the Recount of that clone. Message DB comes from npm, which must be installed; its SQL is
checked against a sum and kept in the user's cache. With --peers none there is no need for all that.

Each peer gets a database of its own, which is removed in the end.`,
		Example: "  {program} bench compare --peers goes,hallgren --callers 16\n  {program} bench compare -o json >reports.json",
	}
	o := benchFlags(cmd, &b.Duration, 3*time.Second, "how long to measure each store with each question and number of callers")
	flags := cmd.Flags()
	flags.StringSliceVar(&peers, "peers", nil, "compare with these only, or with none (default all)")
	flags.IntSliceVar(&b.Callers, "callers", []int{1, 8, 64, 256}, "how many callers append single events at once")
	flags.IntVar(&b.Batch, "batch", 100, "how many events an append has where it has several")
	flags.IntVar(&b.Events, "events", 50_000, "how many events there are to load and to read")
	flags.DurationVar(&b.Tail, "tail", 10*time.Second, "how long to write while a reader follows")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if slices.Equal(peers, []string{noPeers}) {
			return prog.runBench(cmd, o, b)
		}
		return prog.printBench(cmd, o, b, func(options bench.Options) (bench.Report, error) {
			if err := b.Check(); err != nil {
				return bench.Report{}, err
			}
			return prog.askPeers(cmd.Context(), bench.Request{Options: options, Compare: b, Peers: peers})
		})
	}
	return cmd
}

// askPeers builds the program of the module of peers and lets it measure.
func (prog program) askPeers(ctx context.Context, q bench.Request) (_ bench.Report, err error) {
	here, err := os.Getwd()
	if err != nil {
		return bench.Report{}, err
	}
	module, err := findPeers(here)
	if err != nil {
		return bench.Report{}, err
	}
	if file := q.Options.CPUProfile; file != "" {
		if q.Options.CPUProfile, err = filepath.Abs(file); err != nil {
			return bench.Report{}, err
		}
	}
	dir, err := os.MkdirTemp("", "recount-bench-")
	if err != nil {
		return bench.Report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	q.Options.Progress("building " + module)
	program := filepath.Join(dir, "bench")
	build := exec.CommandContext(ctx, "go", "build", "-C", module, "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // one of the peers would else compile SQLite
	out, err := build.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return bench.Report{}, ctx.Err()
	case err != nil:
		return bench.Report{}, cli.Fail(cli.ExitFailure, fmt.Errorf("build %s: %w\n%s", module, err, bytes.TrimSpace(out)),
			"it downloads the peers' modules; with --peers none it does without them")
	}
	answer, err := ask(ctx, program, q)
	if err != nil {
		return bench.Report{}, fmt.Errorf("run %s: %w", module, err)
	}
	return answer.Result()
}

// ask runs the program. When ctx ends it may clean up.
func ask(ctx context.Context, program string, q bench.Request) (answer bench.Answer, _ error) {
	in, err := json.Marshal(q)
	if err != nil {
		return answer, err
	}
	var out bytes.Buffer
	run := exec.CommandContext(ctx, program)
	run.Stdin, run.Stdout = bytes.NewReader(in), &out
	run.Cancel = func() error { return run.Process.Signal(os.Interrupt) }
	run.WaitDelay = time.Minute
	said, err := run.StderrPipe()
	if err != nil {
		return answer, err
	}
	if err := run.Start(); err != nil {
		return answer, err
	}
	for lines := bufio.NewScanner(said); lines.Scan(); {
		q.Options.Progress(lines.Text())
	}
	err = run.Wait()
	switch {
	case ctx.Err() != nil:
		return answer, ctx.Err()
	case err != nil:
		return answer, err
	}
	return answer, json.Unmarshal(out.Bytes(), &answer)
}

// findPeers returns the folder of the module of peers: that of the clone that dir is in.
func findPeers(dir string) (string, error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", cli.Fail(cli.ExitNotFound, err, "install Go, or compare with baselines only: --peers none")
	}
	for {
		module := filepath.Join(dir, "tests", "bench", "peers")
		mod, err := os.ReadFile(filepath.Join(module, "go.mod"))
		switch {
		case err == nil && bytes.HasPrefix(mod, []byte("module github.com/57528e99/recount/tests/bench/peers\n")):
			return module, nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return "", err
		}
		if filepath.Dir(dir) == dir {
			return "", cli.Fail(cli.ExitNotFound, errors.New("this folder is in no clone of Recount's repository, which has the peers in its folder tests/bench/peers"),
				"clone it and run this there, or compare with baselines only: --peers none")
		}
		dir = filepath.Dir(dir)
	}
}
