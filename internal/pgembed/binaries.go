package pgembed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// EnvBinDir is the environment variable that names the folder of the server binaries. When it
// is set, no other place is looked at.
const EnvBinDir = "RECOUNT_PG_BIN"

// minMajor is the oldest PostgreSQL that the log works with: 14 brought lz4.
const minMajor = 14

// Binaries is an installation of the PostgreSQL server.
type Binaries struct {
	Dir     string // holds initdb and postgres
	Version string // as the server prints it, e.g. 15.18
	Major   int    // e.g. 15
}

// FindBinaries returns the first installation of PostgreSQL 14 or newer, in this order:
// $RECOUNT_PG_BIN (and nothing else when it is set), `pg_config --bindir`, $PATH, the folders where
// Linux distributions, Homebrew and Postgres.app put it (newest first), and the cache that
// scripts/postgres.sh fills. With major above 0 only that major version will do. It returns a
// *NoBinariesError if there is none, and a *BinDirError if there is none in $RECOUNT_PG_BIN.
func FindBinaries(major int) (Binaries, error) {
	if dir := os.Getenv(EnvBinDir); dir != "" {
		b, err := binariesIn(dir)
		if err != nil {
			return Binaries{}, &BinDirError{Dir: dir, Err: err}
		}
		return b, b.check(major)
	}
	none := &NoBinariesError{Major: major}
	seen := map[string]bool{}
	for _, dir := range candidates() {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		b, err := binariesIn(dir)
		if err != nil {
			continue // no installation, or one of the client programs only
		}
		if b.check(major) == nil {
			return b, nil
		}
		none.Found = append(none.Found, b)
	}
	return Binaries{}, none
}

// check returns a *NoBinariesError unless the version is the given one, or new enough for 0.
func (b Binaries) check(major int) error {
	if b.Major == major || major == 0 && b.Major >= minMajor {
		return nil
	}
	return &NoBinariesError{Major: major, Found: []Binaries{b}}
}

// candidates lists the folders to look at, best first.
func candidates() []string {
	var dirs []string
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		// A link in $PATH leads to the folder that has initdb and the libraries beside it.
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",                       // Debian, Ubuntu
		"/usr/pgsql-*/bin",                                // PostgreSQL's own RPMs
		"/usr/libexec/postgresql*",                        // Alpine
		"/opt/homebrew/opt/postgresql@*/bin",              // Homebrew on Apple silicon
		"/usr/local/opt/postgresql@*/bin",                 // Homebrew on Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin", // Homebrew on Linux
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		dirs = append(dirs, newestFirst(pattern)...)
	}
	cache := CacheDir()
	dirs = append(dirs, newestFirst(filepath.Join(cache, "*", "bin"))...)
	dirs = append(dirs, newestFirst(filepath.Join(cache, "*", "native", "bin"))...)
	return dirs
}

// CacheDir is where downloaded binaries are kept, a folder per version:
// $XDG_CACHE_HOME/recount/pg, or the same under ~/.cache.
func CacheDir() string {
	base := os.Getenv("XDG_CACHE_HOME")
	if base == "" {
		base = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(base, "recount", "pg")
}

var number = regexp.MustCompile(`\d+`)

// newestFirst returns what matches pattern, by the first number in the name where the pattern
// has its star, highest first.
func newestFirst(pattern string) []string {
	matches, _ := filepath.Glob(pattern) // the patterns are well formed
	star := strings.Index(pattern, "*")
	version := func(path string) int {
		n, _ := strconv.Atoi(number.FindString(path[star:]))
		return n
	}
	slices.SortStableFunc(matches, func(a, b string) int { return version(b) - version(a) })
	return matches
}

var versionLine = regexp.MustCompile(`PostgreSQL\) (\d+)(\S*)`)

// binariesIn looks at one folder, and completes the one of an npm package.
func binariesIn(dir string) (Binaries, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if _, err := exec.LookPath(filepath.Join(dir, name)); err != nil {
			return Binaries{}, fmt.Errorf("no program %s in %s", name, dir)
		}
	}
	if err := createLinks(filepath.Dir(dir)); err != nil {
		return Binaries{}, err
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && len(exit.Stderr) > 0 {
			err = errors.New(strings.TrimSpace(string(exit.Stderr)))
		}
		return Binaries{}, fmt.Errorf("run %s --version: %w", filepath.Join(dir, "postgres"), err)
	}
	m := versionLine.FindStringSubmatch(string(out))
	if m == nil {
		return Binaries{}, fmt.Errorf("run %s --version: got %q", filepath.Join(dir, "postgres"), out)
	}
	major, err := strconv.Atoi(m[1])
	if err != nil {
		return Binaries{}, err
	}
	return Binaries{Dir: dir, Version: m[1] + m[2], Major: major}, nil
}
