package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/57528e99/recount/internal/pgembed"
)

// cluster is a PostgreSQL that can be broken. All of it is in one folder; where
// this process may mount file systems, data and WAL have one each, which can be
// filled.
type cluster struct {
	dir      string
	settings map[string]string

	mu     sync.Mutex
	server *pgembed.Server

	// disks are those that can be filled; noDisks says why there are none.
	disks   map[Kind]disk
	noDisks error
}

// clusterSettings make PostgreSQL meet its limits soon: WAL segments are made
// anew, so that a full disk is noticed, and checkpoints come often.
var clusterSettings = map[string]string{
	"wal_recycle":                 "off",
	"max_wal_size":                "256MB",
	"min_wal_size":                "32MB",
	"checkpoint_timeout":          "30s",
	"max_wal_senders":             "4",
	"wal_keep_size":               "64MB",
	"log_line_prefix":             "%m [%p] %a ",
	"restart_after_crash":         "on",
	"idle_session_timeout":        "0",
	"log_min_error_statement":     "panic",
	"log_min_messages":            "warning",
	"hot_standby":                 "on",
	"max_standby_streaming_delay": "1s",
}

// newCluster prepares the folder of a cluster; size is how large each of its
// disks is, in bytes.
func newCluster(dir string, size int64) (*cluster, error) {
	c := &cluster{dir: dir, settings: clusterSettings, disks: make(map[Kind]disk)}
	for kind, name := range map[Kind]string{FillData: "data", FillWAL: "wal"} {
		d := disk{filepath.Join(dir, name), size}
		if err := os.MkdirAll(d.dir, 0o755); err != nil {
			return nil, fmt.Errorf("create the folder of the %s: %w", name, err)
		}
		if err := d.mount(); err != nil {
			c.noDisks = err
			continue
		}
		c.disks[kind] = d
	}
	return c, nil
}

// start starts the server, on the data that is there.
func (c *cluster) start(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.startLocked(ctx)
}

func (c *cluster) startLocked(ctx context.Context) error {
	server, err := pgembed.Start(ctx, pgembed.Config{
		DataDir: c.dataDir(), Test: true, MaxConnections: 150, Settings: c.settings,
	})
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	c.server = server
	return nil
}

func (c *cluster) dataDir() string { return filepath.Join(c.dir, "data", "pg") }

// moveWAL puts the WAL of the stopped cluster on its own disk.
func (c *cluster) moveWAL() error {
	disk, ok := c.disks[FillWAL]
	if !ok {
		return nil
	}
	from, to := filepath.Join(c.dataDir(), "pg_wal"), filepath.Join(disk.dir, "pg_wal")
	info, err := os.Stat(c.dataDir())
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t)
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return fmt.Errorf("move the WAL: %w", err)
	}
	err = filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		mode := os.FileMode(0o600)
		if err == nil && d.IsDir() {
			mode = 0o700
		}
		return errors.Join(err, os.Chmod(path, mode), os.Chown(path, int(owner.Uid), int(owner.Gid)))
	})
	if err == nil {
		err = errors.Join(os.RemoveAll(from), os.Symlink(to, from))
	}
	if err != nil {
		return fmt.Errorf("move the WAL: %w", err)
	}
	return os.Lchown(from, int(owner.Uid), int(owner.Gid))
}

// create makes the database and starts the server.
func (c *cluster) create(ctx context.Context) error {
	if err := c.start(ctx); err != nil {
		return err
	}
	if err := c.server.Stop(); err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	if err := c.moveWAL(); err != nil {
		return err
	}
	return c.start(ctx)
}

// dsn is the address of the database, without a proxy.
func (c *cluster) dsn() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server.DSN(pgembed.Database)
}

// kill ends the main process by SIGKILL and starts the server again.
func (c *cluster) kill(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	// One that has ended by itself is started again as well, but not signalled: its number may be that
	// of another process by now.
	select {
	case <-c.server.Stopped():
	default:
		if err := syscall.Kill(c.server.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("kill postgres: %w", err)
		}
		<-c.server.Stopped()
	}
	return c.restartLocked(ctx)
}

// revive starts the server again if it has ended.
func (c *cluster) revive(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.server.Stopped():
		return c.restartLocked(ctx)
	default:
		return nil
	}
}

func (c *cluster) restartLocked(ctx context.Context) error {
	if err := c.server.Stop(); err != nil {
		return fmt.Errorf("leave the ended postgres: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.startLocked(ctx)
}

// close stops the server and gives its disks back.
func (c *cluster) close() error {
	var errs []error
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.server != nil {
		errs = append(errs, c.server.Stop())
	}
	for _, disk := range c.disks {
		errs = append(errs, disk.unmount())
	}
	return errors.Join(errs...)
}
