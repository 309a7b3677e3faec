package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/57528e99/recount/internal/pgembed"
)

// devDatabase is the database of dev.
type devDatabase struct {
	dsn    string
	server *pgembed.Server // nil: not our own
}

func (prog *Program) openDatabase(ctx context.Context, d dev) (*devDatabase, error) {
	if d.pg != builtIn {
		return &devDatabase{dsn: d.pg}, CheckDSN(d.pg)
	}
	config := pgembed.Config{Fresh: d.fresh, Port: d.pgPort}
	if !d.fresh {
		config.DataDir = pgDir(d.dataDir)
	}
	server, err := pgembed.Start(ctx, config)
	var none *pgembed.NoBinariesError
	var wrong *pgembed.BinDirError
	var running *pgembed.RunningError
	var file *fs.PathError
	switch {
	case errors.As(err, &none), errors.As(err, &wrong):
		return nil, &Failure{ExitUnavailable, err, prog.hintFor(err) + "\n  {program} dev --pg postgres://user:password@host:5432/name   # to use one that runs"}
	case errors.As(err, &running):
		return nil, &Failure{ExitConflict, fmt.Errorf("start the built-in PostgreSQL: %w", err), prog.hintFor(err) + " with --data DIR"}
	case !d.fresh && errors.As(err, &file):
		return nil, &Failure{ExitFailure, fmt.Errorf("start the built-in PostgreSQL: %w", err),
			prog.hintFor(err) + " --data DIR keeps the data in another directory"}
	case err != nil:
		return nil, fmt.Errorf("start the built-in PostgreSQL: %w", err)
	}
	return &devDatabase{server.DSN(pgembed.Database), server}, nil
}

// errDatabaseEnded is the cause of a context that ended with the database.
var errDatabaseEnded = errors.New("the built-in PostgreSQL ended by itself")

func (db *devDatabase) stop() error {
	if db.server == nil {
		return nil
	}
	return db.server.Stop()
}

// whileItRuns returns a context that ends with ctx, or with the database.
func (db *devDatabase) whileItRuns(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	if db.server != nil {
		go func() {
			select {
			case <-db.server.Stopped():
				cancel(errDatabaseEnded)
			case <-ctx.Done():
			}
		}()
	}
	return ctx, func() { cancel(nil) }
}

// endedBy returns an error if the database is why ctx ended.
func (db *devDatabase) endedBy(ctx context.Context) error {
	if !errors.Is(context.Cause(ctx), errDatabaseEnded) {
		return nil
	}
	return &Failure{ExitUnavailable, errDatabaseEnded, "its log says why: " + db.server.LogFile()}
}
