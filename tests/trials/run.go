package trials

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/internal/failpoint"
)

// Result is how a trial went.
type Result struct {
	Fault failpoint.FaultInfo
	// Rule is the one that the fault broke, After how long that took. An empty Rule means that it was
	// not caught.
	Rule  string
	After time.Duration
	// Clean says that the same scenario passed without the fault.
	Clean bool
	// Output is what the tests said where it is not as it should be.
	Output string
}

// OK reports whether the fault was caught, and nothing was without it.
func (r Result) OK() bool { return r.Rule != "" && r.Clean }

// Trials are the tests of this package, built to be run.
type Trials struct {
	program string
	points  map[failpoint.Fault]string
}

// What the tests of this package say to Run, and it to them.
const (
	// caughtPrefix begins a line: the test, milliseconds from its begin, the rule that was broken.
	caughtPrefix = "caught\t"
	// envPoints asks the tests for the failpoints of each trial, and for nothing else.
	envPoints = "RECOUNT_TRIAL_POINTS"
)

// timeout is for one scenario.
const timeout = time.Minute

// Build builds the tests of this package with the tag failpoints into dir. It needs the go command and
// the module's source, which is where it is run.
func Build(ctx context.Context, dir string) (*Trials, error) {
	t := &Trials{program: filepath.Join(dir, "trials.test"), points: make(map[failpoint.Fault]string)}
	build := exec.CommandContext(ctx, "go", "test", "-c", "-tags", "failpoints", "-o", t.program, "github.com/57528e99/recount/tests/trials")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build the trials: %w\n%s", err, out)
	}
	list := exec.CommandContext(ctx, t.program)
	list.Env = append(os.Environ(), envPoints+"=1")
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the trials: %w", err)
	}
	for line := range strings.Lines(string(out)) {
		fault, points, _ := strings.Cut(strings.TrimSpace(line), " ")
		t.points[failpoint.Fault(fault)] = points
	}
	return t, nil
}

// Run plants a fault, and then does not, and says how its scenario ended. The error is one of running
// it. Dsn is the server to make databases on.
func (t *Trials) Run(ctx context.Context, dsn string, fault failpoint.FaultInfo) (Result, error) {
	r := Result{Fault: fault}
	if _, ok := t.points[fault.Name]; !ok {
		return r, fmt.Errorf("fault %s has no trial", fault.Name)
	}
	out, passed, err := t.run(ctx, dsn, fault.Name, true)
	if err != nil {
		return r, err
	}
	// A scenario that broke a rule and passed has not judged it.
	if r.Rule, r.After = caught(out); r.Rule == "" || passed {
		r.Rule, r.Output = "", string(out)
	}
	out, r.Clean, err = t.run(ctx, dsn, fault.Name, false)
	if err == nil && !r.Clean {
		r.Output += string(out)
	}
	return r, err
}

func (t *Trials) run(ctx context.Context, dsn string, fault failpoint.Fault, plant bool) (out []byte, passed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, t.program, "-test.run", "^TestTrials$/^"+string(fault)+"$", "-test.timeout", timeout.String())
	cmd.Env = append(os.Environ(), "RECOUNT_TEST_DATABASE_URL="+dsn, "RECOUNT_FAILPOINTS="+t.points[fault])
	if plant {
		cmd.Env = append(cmd.Env, "RECOUNT_PLANT="+string(fault))
	}
	out, err = cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		return out, true, nil
	case errors.As(err, &failed) && ctx.Err() == nil:
		return out, false, nil
	}
	return out, false, fmt.Errorf("run the trial of %s: %w", fault, err)
}

// caught finds what the tests say about rules that were broken.
func caught(out []byte) (rule string, after time.Duration) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		told, ok := strings.CutPrefix(lines.Text(), caughtPrefix)
		if !ok {
			continue
		}
		if parts := strings.Split(told, "\t"); len(parts) == 3 {
			ms, _ := strconv.Atoi(parts[1])
			return parts[2], time.Duration(ms) * time.Millisecond
		}
	}
	return "", 0
}
