package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/57528e99/recount/internal/pgembed"
	"github.com/57528e99/recount/internal/pgtest"
)

func TestCommandHasAServerAndItsStatusIsOurs(t *testing.T) {
	if _, err := pgembed.FindBinaries(0); err != nil {
		t.Skip(err)
	}
	t.Setenv(pgtest.EnvURL, "")
	out := filepath.Join(t.TempDir(), "url")
	status, err := run([]string{"sh", "-c", `echo "$` + pgtest.EnvURL + `" >"$0"; exit 3`, out})
	if status != 3 || err != nil {
		t.Errorf("run = %d, %v, want 3", status, err)
	}
	url, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(url), "postgres://") {
		t.Errorf("the command saw the address %q, %v", url, err)
	}
}

func TestGivenServerIsUsed(t *testing.T) {
	t.Setenv(pgtest.EnvURL, "postgres://given")
	t.Setenv(pgembed.EnvBinDir, t.TempDir()) // no server can be started
	status, err := run([]string{"sh", "-c", `test "$` + pgtest.EnvURL + `" = postgres://given`})
	if status != 0 || err != nil {
		t.Errorf("run = %d, %v, want 0", status, err)
	}
}

func TestUnknownCommand(t *testing.T) {
	t.Setenv(pgtest.EnvURL, "postgres://given")
	if status, err := run([]string{"no-such-command"}); status != 1 || err == nil {
		t.Errorf("run = %d, %v, want 1 and an error", status, err)
	}
}
