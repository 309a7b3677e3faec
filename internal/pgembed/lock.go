//go:build unix

package pgembed

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockDir takes the lock that says whose data directory it is, for as long as the file is open:
// the lock ends with the process, however that ends. The file holds the process's number.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(lockPath(dir), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		held := &RunningError{DataDir: dir, PID: readPID(f)}
		return nil, errors.Join(held, f.Close())
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintln(f, os.Getpid())
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the data directory: %w", err), f.Close())
	}
	return f, nil
}

func lockPath(dir string) string { return dir + ".lock" }

func readPID(f *os.File) int {
	b := make([]byte, 32)
	n, _ := f.ReadAt(b, 0) // at worst the message names process 0
	return parsePID(string(b[:n]))
}
