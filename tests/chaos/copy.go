package chaos

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgembed"
)

// backup copies the running cluster into another folder, to be started from
// there. Signal is the file that says what the copy is to be: it recovers, or it
// follows.
func (c *cluster) backup(ctx context.Context, dir, dsn, signal string, settings map[string]string) (*cluster, error) {
	made := &cluster{dir: dir, settings: maps.Clone(clusterSettings), disks: make(map[Kind]disk)}
	maps.Copy(made.settings, settings)
	data := made.dataDir()
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	info, err := os.Stat(c.dataDir())
	if err != nil {
		return nil, err
	}
	// The data belongs to whom PostgreSQL runs as, who makes the copy as well.
	owner := info.Sys().(*syscall.Stat_t)
	if err := errors.Join(os.Chmod(data, 0o700), os.Chown(data, int(owner.Uid), int(owner.Gid))); err != nil {
		return nil, err
	}
	bin, err := pgembed.FindBinaries(0)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin.Dir, "pg_basebackup"), "-d", dsn, "-D", data, "-X", "stream", "-c", "fast", "--no-sync")
	cmd.Dir = data
	if os.Geteuid() == 0 && owner.Uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	name := filepath.Join(data, signal)
	return made, errors.Join(removeSocket(data), os.WriteFile(name, nil, 0o600), os.Chown(name, int(owner.Uid), int(owner.Gid)))
}

// removeSocket removes what was copied of the socket that the other server has in
// its data.
func removeSocket(data string) error {
	files, err := filepath.Glob(filepath.Join(data, ".s.PGSQL.*"))
	for _, file := range files {
		err = errors.Join(err, os.Remove(file))
	}
	return err
}

// promoted waits until the cluster is a primary.
func (c *cluster) promoted(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.connect(ctx, func(conn *pgx.Conn) error {
		for recovering := true; recovering; wait(ctx, 20*time.Millisecond) {
			if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&recovering); err != nil {
				return fmt.Errorf("wait for the promotion: %w", err)
			}
		}
		return nil
	})
}

// halt ends the server for good, by SIGKILL.
func (c *cluster) halt() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := syscall.Kill(c.server.PID(), syscall.SIGKILL); err != nil {
		return fmt.Errorf("kill postgres: %w", err)
	}
	<-c.server.Stopped()
	return nil
}
