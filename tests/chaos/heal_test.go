package chaos

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck"
)

func TestAnOperationThatGoesOnIsAViolation(t *testing.T) {
	b := newBroken(t)
	if found := b.awaitOperations(t.Context(), time.Minute); len(found) != 0 {
		t.Errorf("without operations the harness finds %v", found)
	}
	b.must(b.run.exec(t.Context(), `INSERT INTO recount.projections (name, live_generation) VALUES ('orders', 1)`))
	b.must(b.run.exec(t.Context(), `INSERT INTO recount.projection_operations (id, projection, kind, version, options, requested_by)
		VALUES (gen_random_uuid(), 'orders', 'rebuild', 1, '{}', 'nobody')`))
	if found := b.awaitOperations(t.Context(), time.Millisecond); len(found) != 1 || found[0].Rule != logcheck.RuleConverged {
		t.Errorf("with an operation that nobody ends the harness finds %v, want a violation of %q", found, logcheck.RuleConverged)
	}
	b.must(b.run.exec(t.Context(), `UPDATE recount.projection_operations SET state = 'done'`))
	if found := b.awaitOperations(t.Context(), time.Minute); len(found) != 0 {
		t.Errorf("after the operation the harness finds %v", found)
	}
}

// TestWhatThePlanKillsIsNoViolation ends a process whose failpoint is at its orderly end.
func TestWhatThePlanKillsIsNoViolation(t *testing.T) {
	t.Parallel()
	const name = "writer-1"
	for what, c := range map[string]struct {
		exit string
		// point is the failpoint that is set, if one is.
		point      string
		healed     bool
		violations int
	}{
		"it ends":                             {exit: "0"},
		"it fails":                            {exit: "1", violations: 1},
		"it dies of its failpoint":            {exit: "0", point: "lease/released=kill@1"},
		"its failpoint is over":               {exit: "0", point: "lease/released=kill@1", healed: true},
		"it fails, and its failpoint is over": {exit: "1", point: "lease/released=kill@1", healed: true, violations: 1},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			r := newTestRun(t, Config{})
			err := r.add(name, roleWriter, "sh", "-c", `trap '[ -z "$RECOUNT_FAILPOINTS" ] || [ -e "$RECOUNT_FAILPOINTS_UNTIL" ] || kill -KILL $$; exit `+c.exit+`' TERM
				echo begun; while :; do sleep 0.01; done`)
			if err != nil {
				t.Fatal(err)
			}
			p := r.processes[name]
			if p.point = c.point; p.start() != nil {
				t.Fatal("the process does not start")
			}
			until(t, "the process runs", func() bool {
				text, err := os.ReadFile(p.log.Name())
				return err == nil && strings.Contains(string(text), "begun")
			})
			if c.healed {
				if err := r.endFailpoints(); err != nil {
					t.Fatal(err)
				}
			}
			if found := r.stopAll(roleWriter); len(found) != c.violations {
				t.Errorf("the harness finds %v, want %d violations", found, c.violations)
			}
		})
	}
}

// TestAProcessThatIsNotBackIsNotJudged ends a process that the plan has just killed.
func TestAProcessThatIsNotBackIsNotJudged(t *testing.T) {
	t.Parallel()
	r := newTestRun(t, Config{})
	if err := r.add(idler, roleWriter, "sleep", "1000"); err != nil {
		t.Fatal(err)
	}
	if err := r.processes[idler].start(); err != nil {
		t.Fatal(err)
	}
	r.processes[idler].kill("")
	if found := r.stopAll(roleWriter); len(found) > 0 {
		t.Errorf("the harness finds %v", found)
	}
}
