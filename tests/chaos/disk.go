package chaos

import (
	"errors"
	"fmt"
	"syscall"
)

// disk is a file system in memory that can be made full.
type disk struct {
	dir  string
	size int64 // in bytes
}

func (d disk) mount() error {
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0755", d.size)); err != nil {
		return fmt.Errorf("mount a file system: %w", err)
	}
	return nil
}

// unmount gives the memory back. A process that was killed may still be on its
// way out.
func (d disk) unmount() error {
	if err := syscall.Unmount(d.dir, syscall.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", d.dir, err)
	}
	return nil
}

// fill makes the disk as small as what is on it.
func (d disk) fill() (err error) {
	for range 100 {
		var fs syscall.Statfs_t
		if err := syscall.Statfs(d.dir, &fs); err != nil {
			return fmt.Errorf("look at %s: %w", d.dir, err)
		}
		// More may have been written since: then it does not take the size.
		if err = d.resize(int64(fs.Blocks-fs.Bfree) * fs.Bsize); !errors.Is(err, syscall.EINVAL) {
			return err
		}
	}
	return err
}

func (d disk) resize(size int64) error {
	if err := syscall.Mount("tmpfs", d.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", size)); err != nil {
		return fmt.Errorf("resize %s: %w", d.dir, err)
	}
	return nil
}
