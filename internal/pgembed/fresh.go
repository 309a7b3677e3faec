//go:build unix

package pgembed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	freshPrefix = "recount-pg-"
	memoryDir   = "/dev/shm"
	memoryFree  = 512 << 20 // bytes that must be free in memoryDir to use it
)

// freshBase is the folder for temporary data directories.
func freshBase(test bool) string {
	var fs syscall.Statfs_t
	if test && syscall.Statfs(memoryDir, &fs) == nil && uint64(fs.Bavail)*uint64(fs.Bsize) >= memoryFree {
		return memoryDir
	}
	return os.TempDir()
}

// newFreshDir creates a temporary data directory in base and locks it, after removing those
// whose process is gone.
func newFreshDir(base string) (dir string, lock *os.File, err error) {
	sweep(base)
	dir, err = os.MkdirTemp(base, freshPrefix+"*")
	if err != nil {
		return "", nil, fmt.Errorf("create a temporary data directory: %w", err)
	}
	lock, err = lockDir(dir)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return dir, lock, nil
}

// sweep removes the temporary data directories of killed processes of this user. It is a
// courtesy: what cannot be removed stays.
func sweep(base string) {
	locks, _ := filepath.Glob(filepath.Join(base, freshPrefix+"*.lock")) // the pattern is well formed
	for _, path := range locks {
		info, err := os.Lstat(path)
		if err != nil || int(info.Sys().(*syscall.Stat_t).Uid) != os.Geteuid() {
			continue
		}
		dir := strings.TrimSuffix(path, ".lock")
		lock, err := lockDir(dir)
		if err != nil {
			continue // in use
		}
		if _, serving := readPostmaster(dir); !serving {
			_ = removeDir(dir)
		}
		_ = lock.Close()
	}
}

// removeDir removes a data directory and what belongs to it. The lock goes last: as long as its
// file is there, a later sweep finds what could not be removed.
func removeDir(dir string) error {
	for _, path := range []string{dir, dir + ".new", lockPath(dir)} {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("remove the data directory: %w", err)
		}
	}
	return nil
}
