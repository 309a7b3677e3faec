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
// and tried again, and a file that the server refused does not leave the schema dirty.
type driver struct {
	database.Driver
	ctx     context.Context // golang-migrate passes none
	version int             // last version that was reached cleanly
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
	d.version = version
	if err == nil && d.locked && !d.found {
		d.from, d.found = max(version, 0), true
	}
	return version, dirty, err
}

func (d *driver) SetVersion(version int, dirty bool) error {
	err := whileLocked(d.ctx, patience, func() error { return d.Driver.SetVersion(version, dirty) })
	if err == nil && !dirty {
		d.version = version
	}
	return err
}

// Run runs a file. The server takes all of its statements as one transaction, so one that it
// answered with an error left nothing behind and can be tried again, now or by a later Up.
func (d *driver) Run(file io.Reader) error {
	sql, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	failpoint.Hit(failpoint.MigrateRunning)
	err = whileLocked(d.ctx, patience, func() error { return d.Driver.Run(bytes.NewReader(sql)) })
	failpoint.Hit(failpoint.MigrateRan)
	if pgerr.Code(unwrapDatabaseError(err)) == "" {
		return err // applied, or cut off: nobody knows
	}
	return errors.Join(err, d.SetVersion(d.version, false))
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
