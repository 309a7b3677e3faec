package migrations

import (
	"context"
	"io/fs"
)

// Set gives the tests other files than the ones that are built in.
type Set struct{ set }

func NewSet(files fs.FS) Set { return Set{set{files}} }

func (s Set) Up(ctx context.Context, dsn, schema string) (Move, error) { return s.up(ctx, dsn, schema) }

func (s Set) Down(ctx context.Context, dsn, schema string, to uint) (Move, error) {
	return s.down(ctx, dsn, schema, to)
}

func (s Set) Force(ctx context.Context, dsn, schema string, version uint) error {
	return s.force(ctx, dsn, schema, version)
}

func (s Set) Status(ctx context.Context, dsn, schema string) (State, error) {
	return s.status(ctx, dsn, schema)
}

func (s Set) SQL(schema string, from, to uint) (string, error) { return s.sql(schema, from, to) }

var (
	Files       = files
	WhileLocked = whileLocked
)

const LockTimeout = lockTimeout
