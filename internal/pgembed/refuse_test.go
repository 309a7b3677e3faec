//go:build unix

package pgembed_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/57528e99/recount/internal/pgembed"
)

func TestBadConfig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]pgembed.Config{
		"no directory":         {},
		"two directories":      {DataDir: "x", Fresh: true},
		"negative port":        {Fresh: true, Port: -1},
		"port out of range":    {Fresh: true, Port: 65536},
		"negative connections": {Fresh: true, MaxConnections: -1},
	} {
		if s, err := pgembed.Start(t.Context(), c); err == nil {
			stop(t, s)
			t.Errorf("%s: started", name)
		}
	}
}

func TestDataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	dir := dataDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "PG_VERSION"), "9\n")
	_, err := pgembed.Start(t.Context(), pgembed.Config{DataDir: dir})
	var version *pgembed.VersionError
	if !errors.As(err, &version) || version.Data != 9 {
		t.Fatalf("Start = %v, want a VersionError", err)
	}
	bin, err := pgembed.FindBinaries(0)
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{dir, "PostgreSQL 9", bin.Version, bin.Dir} {
		if !strings.Contains(version.Error(), word) {
			t.Errorf("%q does not say %q", version, word)
		}
	}
	if !strings.Contains(version.Hint(), "rm -r "+dir) {
		t.Errorf("hint %q does not say how to start afresh", version.Hint())
	}
}

func TestFolderWithOtherThings(t *testing.T) {
	t.Parallel()
	needBinaries(t)
	dir := dataDir(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "letter.txt"), "dear diary")
	_, err := pgembed.Start(t.Context(), pgembed.Config{DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "choose another data directory") {
		t.Errorf("Start = %v, want a refusal", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "letter.txt")); err != nil {
		t.Error(err)
	}
}

func TestRootRunsTheServerAsSomebodyElse(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("this test is about root")
	}
	reachable, private := dataDir(t), filepath.Join(t.TempDir(), "pg")
	if err := os.Chmod(filepath.Dir(private), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, pgembed.Config{DataDir: reachable})
	if mayGiveAway(t) && owner(t, s.DataDir()) == 0 {
		t.Error("where another user can reach the data, root still owns it")
	}
	// Nobody but root can enter here: only a user namespace helps, if the system has them.
	s, err := pgembed.Start(t.Context(), pgembed.Config{DataDir: private, Test: true})
	var nobody *pgembed.RootError
	if errors.As(err, &nobody) {
		t.Skipf("%v\nhint: %s", nobody, nobody.Hint())
	}
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if got := owner(t, private); got != 0 {
		t.Errorf("data in a private folder belong to user %d, want root", got)
	}
	s = start(t, pgembed.Config{DataDir: private})
	query(t, s.DSN(pgembed.Database), `SELECT 'again'`)
}

// mayGiveAway reports whether root can make files somebody else's: not in a container without
// other users.
func mayGiveAway(t *testing.T) bool {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "")
	return os.Chown(file, 65534, 65534) == nil
}

func owner(t *testing.T, path string) uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Sys().(*syscall.Stat_t).Uid
}
