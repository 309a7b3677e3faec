//go:build linux

package failpoint_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/57528e99/recount/internal/failpoint"
)

// build builds the program in testdata.
func build(t *testing.T, flags ...string) (program string) {
	t.Helper()
	program = filepath.Join(t.TempDir(), "hits")
	args := append([]string{"build", "-o", program}, flags...)
	if out, err := exec.Command("go", append(args, "./testdata/hits")...).CombinedOutput(); err != nil {
		t.Fatalf("build the program: %v\n%s", err, out)
	}
	return program
}

func TestWithTag(t *testing.T) {
	t.Parallel()
	program := build(t, "-tags", "failpoints")
	for _, c := range []struct {
		name, env, output string
		killed            bool
		code              int
	}{
		{"nothing", "", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", false, 0},
		{"kill", "RECOUNT_FAILPOINTS=notify/send=kill@3", "1\n2\n", true, -1},
		{"kill at once", "RECOUNT_FAILPOINTS=notify/send=kill", "", true, -1},
		{"error", "RECOUNT_FAILPOINTS=notify/send=error@9", "1\n2\n3\n4\n5\n6\n7\n8\nfailpoint notify/send\n10\n", false, 0},
		{"until later", "RECOUNT_FAILPOINTS=notify/send=kill@3 RECOUNT_FAILPOINTS_UNTIL=testdata/none", "1\n2\n", true, -1},
		{"until now", "RECOUNT_FAILPOINTS=notify/send=kill@3 RECOUNT_FAILPOINTS_UNTIL=testdata", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", false, 0},
		{"bad setting", "RECOUNT_FAILPOINTS=notify/sent=kill", "", false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(program)
			cmd.Env = append(cmd.Environ(), strings.Fields(c.env)...)
			var said bytes.Buffer
			cmd.Stderr = &said
			out, err := cmd.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if string(out) != c.output || cmd.ProcessState.ExitCode() != c.code || (status.Signaled() && status.Signal() == syscall.SIGKILL) != c.killed {
				t.Errorf("it printed %q and ended with %v, want %q, code %d, killed %v", out, cmd.ProcessState, c.output, c.code, c.killed)
			}
			if c.code == 2 && !strings.Contains(said.String(), "RECOUNT_FAILPOINTS") {
				t.Errorf("it said %q, which does not name the variable", said.String())
			}
		})
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(build(t, "-tags", "failpoints"))
	cmd.Env = append(cmd.Environ(), "RECOUNT_FAILPOINTS=notify/send=stop@3")
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("wait: %v, %v, want a process that is stopped", status, err)
	}
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || !strings.HasSuffix(out.String(), "10\n") {
		t.Errorf("it ended with %v after %q, want all ten", err, out.String())
	}
}

// TestWithoutTag proves that nothing is left: neither calls nor names.
func TestWithoutTag(t *testing.T) {
	t.Parallel()
	program := build(t)
	cmd := exec.Command(program)
	cmd.Env = append(cmd.Environ(), "RECOUNT_FAILPOINTS=notify/send=kill")
	if out, err := cmd.Output(); err != nil || !strings.HasPrefix(string(out), "1\n") || !strings.HasSuffix(string(out), "\n10\n") {
		t.Errorf("it ended with %v after %q, want all ten", err, out)
	}
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(binary, []byte(failpoint.NotifySend)) {
		t.Error("the program has the names of points in it")
	}
	symbols, err := exec.Command("go", "tool", "nm", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(symbols)) {
		if strings.Contains(line, "internal/failpoint.") {
			t.Errorf("the program has %s", line)
		}
	}
}
