package migrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/golang-migrate/migrate/v4/database"

	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgerr"
)

// driver is golang-migrate's PostgreSQL driver with two changes: a wait for a lock is given up
// and tried again, and the version that a file leads to is written in the file's own transaction, so
// that whoever is killed or cut off meanwhile leaves no schema of which nobody knows where it is.
type driver struct {
	database.Driver
	ctx    context.Context // golang-migrate passes none
	table  string          // has the version
	target int             // version that the next file leads to
	// from is the version that was found first under the lock, if found says so: what was read
	// before may be of a moment when another process was still migrating.
	from          int
	locked, found bool
}

func (d *driver) Lock() error {
	err := whileLocked(d.ctx, migratorWait, d.Driver.Lock)
	d.locked = err == nil
	failpoint.Hit(failpoint.MigrateLocked)
	return err
}

func (d *driver) Version() (int, bool, error) {
	version, dirty, err := d.Driver.Version()
	if err == nil && d.locked && !d.found {
		d.from, d.found = max(version, 0), true
	}
	return version, dirty, err
}

// SetVersion is called before a file runs, with dirty, and after it.
func (d *driver) SetVersion(version int, dirty bool) error {
	if dirty {
		d.target = version
		return nil
	}
	return whileLocked(d.ctx, patience, func() error { return d.Driver.SetVersion(version, dirty) })
}

// Run runs a file. The server takes all of its statements as one transaction, with the version.
func (d *driver) Run(file io.Reader) error {
	sql, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	sql = append(sql, "\n;\nDELETE FROM "+d.table...)
	if d.target >= 0 {
		sql = fmt.Appendf(sql, ";\nINSERT INTO %s (version, dirty) VALUES (%d, false)", d.table, d.target)
	}
	failpoint.Hit(failpoint.MigrateRunning)
	err = whileLocked(d.ctx, patience, func() error { return d.Driver.Run(bytes.NewReader(sql)) })
	failpoint.Hit(failpoint.MigrateRan)
	return err
}

// whileLocked calls f until it ends with something else than a lock that could not be had.
func whileLocked(ctx context.Context, patience time.Duration, f func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := f()
		if !pgerr.Is(unwrapDatabaseError(err), pgerr.LockNotAvailable, pgerr.Deadlock) {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w for %v: %w", ErrLocked, patience, err)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// unwrapDatabaseError digs out the server's error: golang-migrate's error does not unwrap.
func unwrapDatabaseError(err error) error {
	var byValue database.Error
	if errors.As(err, &byValue) {
		return byValue.OrigErr
	}
	var byPointer *database.Error
	if errors.As(err, &byPointer) {
		return byPointer.OrigErr
	}
	return err
}
