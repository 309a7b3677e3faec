//go:build unix && !linux

package pgembed

import (
	"errors"
	"syscall"
)

// dieWithParent does nothing where the kernel has no such service: a server that a killed
// process left behind is reported by the next Start.
func dieWithParent(*syscall.SysProcAttr) {}

// enterNamespace does nothing: the server will say itself that it does not run as root.
func enterNamespace(*syscall.SysProcAttr) {}

// serves reports whether process pid may run a server in dir: whether it exists.
func serves(pid int, dir string) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
