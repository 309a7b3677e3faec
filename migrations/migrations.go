package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/golang-migrate/migrate/v4"

	"github.com/57528e99/recount/internal/pgsql"
)

// DefaultSchema is the schema of a log that was given no other.
const DefaultSchema = pgsql.DefaultSchema

// Move says at which version the schema was before a call and after it. Version 0 is the schema
// without tables. From equals To when there was nothing to do.
type Move struct{ From, To uint }

// State is what Status finds.
type State struct {
	Module  string // whose tables they are; empty: the log's
	Current uint   // version of the schema's tables; 0: none yet
	Latest  uint   // the highest version that this binary knows
	Dirty   bool   // a migration to or from Current was cut off; see DirtyError
}

// Pending reports whether Up has something to do.
func (s State) Pending() bool { return s.Current < s.Latest }

// Check returns a *DirtyError or a *BehindError if the tables of schema are half migrated, or older
// than this binary needs them. Newer ones are fine: a migration keeps the program before it
// running.
func (s State) Check(schema string) error {
	switch {
	case s.Dirty:
		return &DirtyError{Schema: schema, Module: s.Module, Version: s.Current}
	case s.Pending():
		return &BehindError{Schema: schema, Module: s.Module, Current: s.Current, Latest: s.Latest}
	}
	return nil
}

// Latest returns the highest version that this binary knows; 0 if it has no migrations.
func Latest() uint { return embedded.Latest() }

// Up takes the tables of schema to the latest version, creating the schema if it is missing.
// It may be called by several processes at once.
//
// It returns a *DirtyError if an earlier migration was cut off, a *NewerError if the tables are
// from a newer binary, and an error that matches ErrLocked if other sessions kept the tables
// locked for patience. The tables then are at the version before the file that did not pass.
// ctx ends the wait for locks and stops between two files; a file that runs is finished.
func Up(ctx context.Context, dsn, schema string) (Move, error) {
	return embedded.Up(ctx, dsn, schema)
}

// Down takes the tables of schema back to version to, 0 being none at all. This deletes data.
// A version above the current one is an error; else errors are those of Up. The schema itself
// stays.
func Down(ctx context.Context, dsn, schema string, to uint) (Move, error) {
	return embedded.Down(ctx, dsn, schema, to)
}

// Force declares that the tables of schema are at version, without touching them. It is the way
// out of a DirtyError, for an operator who has looked.
func Force(ctx context.Context, dsn, schema string, version uint) error {
	return embedded.Force(ctx, dsn, schema, version)
}

// Up is the function of that name.
func (s Set) Up(ctx context.Context, dsn, schema string) (Move, error) {
	// What is up to date takes no settings, nor a lock.
	if now, err := s.Status(ctx, dsn, schema); err == nil && !now.Dirty && now.Current == now.Latest {
		return Move{From: now.Current, To: now.Current}, nil
	}
	if err := createSchema(ctx, dsn, schema); err != nil {
		return Move{}, err
	}
	return s.move(ctx, dsn, schema, func(m *migrate.Migrate, _ uint) (uint, error) {
		return s.Latest(), m.Up()
	})
}

// Down is the function of that name.
func (s Set) Down(ctx context.Context, dsn, schema string, to uint) (Move, error) {
	// A schema that is not there cannot be opened, and is at version 0.
	now, err := s.Status(ctx, dsn, schema)
	if err != nil || now.Current == 0 && !now.Dirty && to == 0 {
		return Move{}, err
	}
	return s.move(ctx, dsn, schema, func(m *migrate.Migrate, from uint) (uint, error) {
		switch {
		case to > from:
			return to, fmt.Errorf("version %d is above the current version %d: migrate up instead", to, from)
		case to == from:
			return to, nil
		case to == 0:
			return 0, m.Down()
		default:
			return to, m.Migrate(to)
		}
	})
}

// Force is the function of that name.
func (s Set) Force(ctx context.Context, dsn, schema string, version uint) error {
	if version > s.Latest() {
		return fmt.Errorf("force version %d: the highest known version is %d", version, s.Latest())
	}
	m, _, err := s.open(ctx, dsn, schema)
	if err != nil {
		return fmt.Errorf("force version %d of schema %q: %w", version, schema, err)
	}
	defer m.Close()
	target := int(version)
	if version == 0 {
		target = -1 // golang-migrate's word for no version
	}
	if err := m.Force(target); err != nil {
		return fmt.Errorf("force version %d of schema %q: %w", version, schema, err)
	}
	return nil
}

// move opens the schema, reads its version and lets step take it to another.
func (s Set) move(ctx context.Context, dsn, schema string, step func(*migrate.Migrate, uint) (uint, error)) (Move, error) {
	m, d, err := s.open(ctx, dsn, schema)
	if err != nil {
		return Move{}, fmt.Errorf("migrate schema %q: %w", schema, err)
	}
	defer m.Close()
	stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
	defer stop()

	from, _, err := m.Version()
	if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
		return Move{}, fmt.Errorf("migrate schema %q: %w", schema, err)
	}
	if latest := s.Latest(); from > latest {
		return Move{}, &NewerError{Schema: schema, Module: s.module, Current: from, Latest: latest}
	}
	to, err := step(m, from)
	var dirty migrate.ErrDirty
	switch {
	case errors.As(err, &dirty):
		return Move{}, &DirtyError{Schema: schema, Module: s.module, Version: uint(max(dirty.Version, 0))}
	case err != nil && !errors.Is(err, migrate.ErrNoChange):
		return Move{}, fmt.Errorf("migrate schema %q from version %d to %d: %w", schema, from, to, err)
	case ctx.Err() != nil:
		return Move{}, fmt.Errorf("migrate schema %q from version %d to %d: %w", schema, from, to, context.Cause(ctx))
	}
	if d.found {
		from = uint(d.from)
	}
	return Move{From: from, To: to}, nil
}
