package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/migrations"
	"github.com/57528e99/recount/projections"
)

// Migrations returns what makes the tables of the service: the log's, then those of modules that
// have tables of their own.
func (a App) Migrations() ([]migrations.Set, error) {
	sets := []migrations.Set{migrations.OfLog()}
	var mistakes []error
	for _, m := range a.Modules {
		if m.Migrations == nil {
			continue
		}
		set, err := migrations.OfModule(a.Name, m.Name, m.Migrations)
		sets, mistakes = append(sets, set), append(mistakes, err)
	}
	return sets, errors.Join(mistakes...)
}

// Migrated is what was done to the tables of the log, or of a module.
type Migrated struct {
	// Module is empty for the log.
	Module string
	migrations.Move
}

// CheckLog returns a *projections.AppError if the log in a schema belongs to other Apps alone. One
// that is nobody's yet, or is not there, is anybody's.
func (a App) CheckLog(ctx context.Context, dsn, schema string) error {
	return a.onLog(ctx, dsn, schema, (*projections.Admin).Check)
}

// JoinLog lets the App on a log that belongs to other Apps, beside them, as Options.AdoptLog does. A
// log that is not there it leaves alone.
func (a App) JoinLog(ctx context.Context, dsn, schema string) error {
	return a.onLog(ctx, dsn, schema, (*projections.Admin).Join)
}

// onLog does something about whose the log is, of whatever version its tables are.
func (a App) onLog(ctx context.Context, dsn, schema string, do func(*projections.Admin, context.Context) error) (err error) {
	pool, err := openPool(ctx, dsn, 1, a.ProgramName())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closePool(ctx, pool)) }()
	err = do(projections.NewAdmin(pool, schema, nil).ForApp(a.Name), ctx)
	if pgerr.LacksTables(err) {
		return nil // there were no Apps yet when it was made
	}
	return err
}

// MigrateUp takes all tables of the service in a schema to the versions that this program needs. It
// may be called by several processes at once. A log of other Apps it leaves alone, with the error of
// CheckLog. Other errors are those of migrations.Up; what was done before one stays.
func (a App) MigrateUp(ctx context.Context, dsn, schema string) (done []Migrated, err error) {
	sets, err := a.Migrations()
	if err != nil {
		return nil, err
	}
	if err := a.CheckLog(ctx, dsn, schema); err != nil {
		return nil, err
	}
	for _, set := range sets {
		move, err := set.Up(ctx, dsn, schema)
		if err != nil {
			return done, err
		}
		done = append(done, Migrated{set.Module(), move})
	}
	return done, nil
}

// CheckMigrated returns an error if some of the service's tables in a schema are half migrated, or
// older than this program needs them.
func (a App) CheckMigrated(ctx context.Context, dsn, schema string) error {
	return a.checkMigrated(schema, func(set migrations.Set) (migrations.State, error) { return set.Status(ctx, dsn, schema) })
}

func (a App) checkMigrated(schema string, status func(migrations.Set) (migrations.State, error)) error {
	sets, err := a.Migrations()
	if err != nil {
		return err
	}
	for _, set := range sets {
		now, err := status(set)
		if err := cmp.Or(err, now.Check(schema)); err != nil {
			return err
		}
	}
	return nil
}

// MigrationsOf returns those of one module; of the log, if it has no name.
func (a App) MigrationsOf(module string) (migrations.Set, error) {
	sets, err := a.Migrations()
	if err != nil {
		return migrations.Set{}, err
	}
	var known []string
	for _, set := range sets {
		if set.Module() == module {
			return set, nil
		}
		if set.Module() != "" {
			known = append(known, set.Module())
		}
	}
	if known == nil {
		return migrations.Set{}, fmt.Errorf("no module of %s has tables of its own", a.Name)
	}
	return migrations.Set{}, fmt.Errorf("module %q of %s has no tables of its own; those of %s have", module, a.Name, inWords(known))
}
