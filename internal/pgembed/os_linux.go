package pgembed

import (
	"strconv"
	"syscall"
)

// dieWithParent has the kernel stop the process at once when the thread that started it ends;
// the server then recovers at its next start. run keeps that thread.
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGQUIT }

// enterNamespace gives the process a user namespace in which our user, root, has an ordinary
// number: PostgreSQL is content, and its files still belong to root.
func enterNamespace(attr *syscall.SysProcAttr) {
	attr.Cloneflags = syscall.CLONE_NEWUSER
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: syscall.Geteuid(), Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 1000, HostID: syscall.Getegid(), Size: 1}}
}

// serves reports whether process pid runs a server in dir. A number can be given to another
// process, or stay with a dead one that nobody has waited for; neither works in dir.
func serves(pid int, dir string) bool {
	return sameFile("/proc/"+strconv.Itoa(pid)+"/cwd", dir)
}
