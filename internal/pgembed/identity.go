//go:build unix

package pgembed

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// identity is whom the server runs as. The zero value is the user of this process.
type identity struct {
	name      string
	uid, gid  int  // 0: the user of this process
	namespace bool // as root in a user namespace, where it has another number
}

// chooseIdentity makes sure that dir exists, empty or with data, and returns an identity that can
// run the server in it. PostgreSQL does not run as root, and wants to own its data directory.
func chooseIdentity(dir string, bin Binaries) (identity, error) {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return identity{}, fmt.Errorf("create the data directory: %w", err)
	}
	owner, err := checkOwner(dir)
	if err != nil || os.Geteuid() != 0 {
		return identity{}, err
	}
	var tried []error
	for _, id := range identities(dir, owner) {
		err := id.try(dir, bin)
		if err == nil {
			return id, nil
		}
		tried = append(tried, fmt.Errorf("as %s: %w", id.name, err))
	}
	return identity{}, &RootError{DataDir: dir, Tried: errors.Join(tried...)}
}

// checkOwner returns the number of the owner of dir, and an error if this process may not run a
// server in it.
func checkOwner(dir string) (owner int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, fmt.Errorf("look at the data directory: %w", err)
	}
	if !info.IsDir() {
		return 0, fmt.Errorf("data directory %s is not a directory", dir)
	}
	owner = int(info.Sys().(*syscall.Stat_t).Uid)
	if self := os.Geteuid(); self != 0 && owner != self {
		return owner, fmt.Errorf("data directory %s belongs to user %d, this process runs as user %d: "+
			"run as its owner, or choose another directory", dir, owner, self)
	}
	return owner, nil
}

// identities lists whom root may run the server as, best first.
func identities(dir string, owner int) []identity {
	inNamespace := identity{name: "root in a user namespace", namespace: true}
	if owner != 0 {
		info, err := os.Stat(dir)
		if err != nil {
			return nil
		}
		gid := int(info.Sys().(*syscall.Stat_t).Gid)
		return []identity{{name: fmt.Sprintf("the owner of the data, user %d", owner), uid: owner, gid: gid}}
	}
	if hasData(dir) {
		return []identity{inNamespace} // its owner is root: it was made in a namespace
	}
	var ids []identity
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.Atoi(u.Uid)
		gid, err2 := strconv.Atoi(u.Gid)
		if err1 == nil && err2 == nil {
			ids = append(ids, identity{name: name, uid: uid, gid: gid})
		}
	}
	return append(ids, inNamespace)
}

// try gives dir to the identity and checks that it reaches dir and can run the programs.
func (id identity) try(dir string, bin Binaries) error {
	if err := id.own(dir); err != nil {
		return err
	}
	cmd := exec.Command(filepath.Join(bin.Dir, "postgres"), "--version")
	cmd.Dir = dir // the new process enters it, as its new user
	cmd.SysProcAttr = id.sysProcAttr()
	if out, err := output(cmd); err != nil {
		return errors.Join(fmt.Errorf("run %s in %s: %w %s", cmd.Path, dir, err, out), os.Chown(dir, 0, 0))
	}
	return nil
}

// output runs cmd to its end on a thread of its own: the process dies with its parent thread,
// which must therefore not end before it.
func output(cmd *exec.Cmd) (string, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// own makes the identity the owner of a file that this process has just made.
func (id identity) own(path string) error {
	if id.uid == 0 {
		return nil
	}
	return os.Chown(path, id.uid, id.gid)
}

// sysProcAttr is how a process of the identity is started: in a process group of its own, since
// Ctrl-C is for us, who then stop the server in good order.
func (id identity) sysProcAttr() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(attr)
	switch {
	case id.namespace:
		enterNamespace(attr)
	case id.uid != 0:
		attr.Credential = &syscall.Credential{Uid: uint32(id.uid), Gid: uint32(id.gid)}
	}
	return attr
}
