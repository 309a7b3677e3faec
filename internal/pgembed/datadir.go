//go:build unix

package pgembed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

func hasData(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "PG_VERSION"))
	return err == nil
}

// dataMajor returns the major version that wrote dir; 0 if there is nothing in it.
func dataMajor(dir string) (int, error) {
	b, err := os.ReadFile(filepath.Join(dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		entries, err := os.ReadDir(dir)
		if err == nil && len(entries) > 0 {
			return 0, fmt.Errorf("%s holds something else than a PostgreSQL database: choose another data directory", dir)
		}
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the version of the data: %w", err)
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("read the version of the data in %s: %w", dir, err)
	}
	return major, nil
}

// initData fills dir with a new, empty database. It works beside it and renames at the end, so
// that dir is never half made, whatever happens in between.
func initData(ctx context.Context, dir string, bin Binaries, id identity, test bool) error {
	unfinished := dir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return fmt.Errorf("remove what an earlier start left: %w", err)
	}
	if err := os.Mkdir(unfinished, 0o700); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	if err := id.own(unfinished); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	args := []string{"-D", unfinished, "-U", User, "-E", "UTF8", "--locale=C",
		"--auth-local=trust", "--auth-host=scram-sha-256"}
	if test {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin.Dir, "initdb"), args...)
	cmd.Dir = unfinished
	cmd.Env = environ()
	cmd.SysProcAttr = id.sysProcAttr()
	if out, err := output(cmd); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return errors.Join(fmt.Errorf("create the database with %s: %w\n%s", cmd.Path, err, out), os.RemoveAll(unfinished))
	}
	// dir is there and empty, and os.Rename replaces no directory.
	if err := errors.Join(os.Remove(dir), os.Rename(unfinished, dir)); err != nil {
		return fmt.Errorf("create the database: %w", err)
	}
	return nil
}

// environ is our environment without what would steer PostgreSQL or make its messages foreign.
func environ() []string {
	env := []string{"LC_ALL=C"}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "PG") && !strings.HasPrefix(e, "LC_") && !strings.HasPrefix(e, "LANG") {
			env = append(env, e)
		}
	}
	return env
}
