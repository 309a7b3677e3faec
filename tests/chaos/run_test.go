package chaos

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck"
	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
)

// programs are those that all tests of this package run, built by the first.
var programs struct {
	sync.Once
	dir, recount, worker string
	err                  error
}

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if programs.dir != "" {
		_ = os.RemoveAll(programs.dir) // a temporary folder
	}
	os.Exit(code)
}

func needPrograms(t *testing.T) (recount, worker string) {
	t.Helper()
	needPostgres(t)
	p := &programs
	p.Do(func() {
		if p.dir, p.err = os.MkdirTemp("", "recount-chaos-test-*"); p.err != nil {
			return
		}
		p.recount, p.worker = filepath.Join(p.dir, "recount"), filepath.Join(p.dir, "chaos")
		p.err = errors.Join(Build(context.Background(), p.recount, "cmd/recount"),
			Build(context.Background(), p.worker, "tests/chaos/cmd/chaos"))
	})
	if p.err != nil {
		t.Fatal(p.err)
	}
	return p.recount, p.worker
}

// needPostgres skips tests that are long, or where there is no PostgreSQL.
func needPostgres(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("it runs programs and a PostgreSQL of its own")
	}
	_, err := pgembed.FindBinaries(0)
	var none *pgembed.NoBinariesError
	if errors.As(err, &none) {
		t.Skipf("%v\n%s", err, none.Hint())
	}
}

// newTestRun returns a run without any processes, which is closed when the test
// ends.
func newTestRun(t *testing.T, c Config) *run {
	t.Helper()
	if err := c.setDefaults(); err != nil {
		t.Fatal(err)
	}
	r := newRun(c)
	r.dir = filepath.Dir(pgtest.DataDir(t))
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// until waits for something that takes a moment.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); wait(t.Context(), 10*time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// TestAShortRun breaks everything once. It also says that the report is whole.
func TestAShortRun(t *testing.T) {
	c := Config{Seed: 1, Duration: 8 * time.Second, Faults: 40, Events: 5000, Readers: 2, Orders: 3, SkipLosses: true}
	c.Recount, c.Worker = needPrograms(t)
	report, err := Run(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report.Violations {
		t.Errorf("%s: %s", v.Rule, v.Text)
	}
	if t.Failed() {
		t.Logf("histories and logs are in %s", report.Dir)
	}
	if report.Acked < c.Events || report.Total < len(recipes) || len(report.Checks) < 15 {
		t.Errorf("the report is of %d events, %d faults and %d checks, want some", report.Acked, report.Total, len(report.Checks))
	}
	if text := report.Markdown(); !strings.Contains(text, "Violations: 0.") {
		t.Errorf("the report reads\n%s", text)
	}
}

// TestAMutantTurnsItRed runs workers with a bug in them. There are no servers here, so that the program need not be built with it.
func TestAMutantTurnsItRed(t *testing.T) {
	recount, _ := needPrograms(t)
	for mutant, rule := range map[string]logcheck.Rule{
		"digest-not-moved": logcheck.RuleCheckpoint,
		"blind-retry":      logcheck.RuleIDsOnce,
	} {
		t.Run(mutant, func(t *testing.T) {
			c := Config{Seed: 1, Duration: 4 * time.Second, Faults: 40, Only: []Kind{CutAfter}, Mutant: mutant, Recount: recount,
				Servers: -1, Clients: -1, Deliverers: -1, Orders: -1, Readers: 1, Projectors: 1, SkipLosses: true}
			c.Dir = filepath.Join(filepath.Dir(pgtest.DataDir(t)), "run")
			report, err := Run(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(report.Violations, func(v Violation) bool { return v.Rule == string(rule) }) {
				t.Errorf("%s was not noticed: the report has %+v, want a violation of %q", mutant, report.Violations, rule)
			}
		})
	}
}
