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

	"github.com/57528e99/recount/tests/chaos"
	"github.com/57528e99/recount/tests/mutants"
)

// Result is how a mutant fared in its scenario.
type Result struct {
	Mutant mutants.Mutant
	// Caught says that its rule was broken, After how long that took.
	Caught bool
	After  time.Duration
	// Clean says that the same scenario passed with the product as it is.
	Clean bool
	// Output is what the tests said where it is not as it should be.
	Output string
}

// OK reports whether the mutant was caught, and the product as it is was not.
func (r Result) OK() bool { return r.Caught && r.Clean }

// Trials are the tests of this package, built to be run.
type Trials struct {
	root, dir, clean string
	others           map[string]string // tests of other packages, by the package
}

const (
	// caughtPrefix begins a line of the tests: the test, milliseconds from its begin, the rule that
	// was broken.
	caughtPrefix = "caught\t"
	// envMutant tells the tests which mutant they are.
	envMutant = "RECOUNT_TRIAL_MUTANT"
	// timeout is for one scenario.
	timeout = time.Minute
)

// Build builds the tests of this package with the product as it is into dir. It needs the go
// command and the module's source, which is where it is run.
func Build(ctx context.Context, dir string) (*Trials, error) {
	root, err := chaos.Root(ctx)
	if err != nil {
		return nil, err
	}
	t := &Trials{root: root, dir: dir, clean: filepath.Join(dir, "trials.test"), others: make(map[string]string)}
	return t, t.build(ctx, t.clean, "tests/trials")
}

func (t *Trials) build(ctx context.Context, program, pkg string, flags ...string) error {
	args := append([]string{"test", "-c", "-tags", "failpoints", "-o", program}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, "./"+pkg)...)
	build.Dir = t.root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the tests of %s: %w\n%s", pkg, err, out)
	}
	return nil
}

// cleanFor returns the tests of a package with the product as it is.
func (t *Trials) cleanFor(ctx context.Context, pkg string) (program string, err error) {
	program, ok := t.others[pkg]
	if !ok {
		program = filepath.Join(t.dir, strings.ReplaceAll(pkg, "/", "-")+".test")
		t.others[pkg] = program
		err = t.build(ctx, program, pkg)
	}
	return program, err
}

// Run runs the scenario of a mutant, with it and with the product as it is, and says how that
// ended. The error is one of building or running it. Dsn is the server to make databases on.
func (t *Trials) Run(ctx context.Context, dsn string, m mutants.Mutant) (Result, error) {
	r := Result{Mutant: m}
	overlay, err := m.Overlay(t.root, t.dir)
	if err != nil {
		return r, err
	}
	program, pkg, clean := filepath.Join(t.dir, m.Name+".test"), "tests/trials", t.clean
	if m.Package != "" {
		pkg = m.Package
		if clean, err = t.cleanFor(ctx, pkg); err != nil {
			return r, err
		}
	}
	if err := t.build(ctx, program, pkg, overlay); err != nil {
		return r, fmt.Errorf("mutant %s: %w", m.Name, err)
	}
	defer os.Remove(program)
	out, passed, err := runTrial(ctx, program, dsn, m, m.Name)
	if err != nil {
		return r, err
	}
	// A scenario that broke a rule and passed has not judged it.
	if r.After, r.Caught = caught(out, m.Rule); !r.Caught || passed {
		r.Caught, r.Output = false, string(out)
	}
	out, r.Clean, err = runTrial(ctx, clean, dsn, m, "")
	if err == nil && !r.Clean {
		r.Output += string(out)
	}
	return r, err
}

func runTrial(ctx context.Context, program, dsn string, m mutants.Mutant, is string) (out []byte, passed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second)
	defer cancel()
	scenario := "^TestTrials$/^" + m.Name + "$"
	if m.Package != "" {
		scenario = "^" + m.Scenario + "$"
	}
	cmd := exec.CommandContext(ctx, program, "-test.run", scenario, "-test.timeout", timeout.String())
	cmd.Env = append(os.Environ(), "RECOUNT_TEST_DATABASE_URL="+dsn, "RECOUNT_FAILPOINTS="+m.Failpoints, envMutant+"="+is)
	out, err = cmd.CombinedOutput()
	if errors.As(err, new(*exec.ExitError)) && ctx.Err() == nil {
		return out, false, nil
	}
	if err != nil {
		err = fmt.Errorf("run the scenario of mutant %s: %w", m.Name, err)
	}
	return out, err == nil, err
}

// caught finds what the tests say about a rule that was broken.
func caught(out []byte, rule string) (after time.Duration, ok bool) {
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		said, ok := strings.CutPrefix(lines.Text(), caughtPrefix)
		if parts := strings.Split(said, "\t"); ok && len(parts) == 3 && parts[2] == rule {
			ms, err := strconv.Atoi(parts[1])
			return time.Duration(ms) * time.Millisecond, err == nil
		}
	}
	return 0, false
}
