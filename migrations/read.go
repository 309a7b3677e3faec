package migrations

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/golang-migrate/migrate/v4/source"
	"github.com/jackc/pgx/v5"

	"github.com/57528e99/recount/internal/pgerr"
	"github.com/57528e99/recount/internal/pgsession"
	"github.com/57528e99/recount/internal/pgsql"
)

// file is one direction of one migration.
type file struct {
	version   uint
	direction source.Direction
	name      string
}

// list returns the files of one direction in ascending order of version.
func (s Set) list(d source.Direction) []file {
	entries, err := fs.ReadDir(s.files, ".")
	if err != nil {
		return nil // the files are part of the binary, and were checked
	}
	var out []file
	for _, e := range entries {
		m, err := source.DefaultParse(e.Name())
		if err == nil && m.Direction == d {
			out = append(out, file{m.Version, m.Direction, e.Name()})
		}
	}
	slices.SortFunc(out, func(a, b file) int { return int(a.version) - int(b.version) })
	return out
}

// Latest is the function of that name.
func (s Set) Latest() uint {
	ups := s.list(source.Up)
	if len(ups) == 0 {
		return 0
	}
	return ups[len(ups)-1].version
}

// Status reports which version the tables of schema are at. It changes nothing, and a schema
// that does not exist is at version 0.
func Status(ctx context.Context, dsn, schema string) (State, error) {
	return embedded.Status(ctx, dsn, schema)
}

// Status is the function of that name.
func (s Set) Status(ctx context.Context, dsn, schema string) (State, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return State{}, fmt.Errorf("read the database's address: %w", err)
	}
	conn, err := pgsession.Connect(ctx, cfg)
	if err != nil {
		return State{}, fmt.Errorf("connect to the database: %w", err)
	}
	defer closeConn(ctx, conn)
	return s.StatusOf(ctx, conn, schema)
}

// Querier is a connection to the database, or a pool of them.
type Querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// StatusOf is Status for those who have a connection.
func (s Set) StatusOf(ctx context.Context, db Querier, schema string) (State, error) {
	if err := checkSchema(schema); err != nil {
		return State{}, err
	}
	st := State{Module: s.module, Latest: s.Latest()}
	var version int
	query := `SELECT version, dirty FROM ` + pgsql.Name(schema, s.table)
	err := db.QueryRow(ctx, query).Scan(&version, &st.Dirty)
	if err != nil && !pgerr.Is(err, pgerr.NoTable) && !errors.Is(err, pgx.ErrNoRows) {
		return State{}, fmt.Errorf("read the version of schema %q: %w", schema, err)
	}
	st.Current = uint(max(version, 0))
	return st, nil
}

// SQL returns a script that takes the tables of schema from one version to another, up or down,
// for those who apply it with psql; empty if the versions are the same. It creates the schema and
// records the version, as Up and Down do.
func SQL(schema string, from, to uint) (string, error) {
	return embedded.SQL(schema, from, to)
}

// SQL is the function of that name.
func (s Set) SQL(schema string, from, to uint) (string, error) {
	if err := checkSchema(schema); err != nil {
		return "", err
	}
	if latest := s.Latest(); max(from, to) > latest {
		return "", fmt.Errorf("version %d is unknown: the highest known version is %d", max(from, to), latest)
	}
	if from == to {
		return "", nil
	}
	var b strings.Builder
	name, table := pgsql.Name(schema), pgsql.Name(s.table)
	fmt.Fprintf(&b, "CREATE SCHEMA IF NOT EXISTS %s;\nSET search_path = %s;\nSET lock_timeout = '%v';\n", name, name, lockTimeout)
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);\n", table)
	for _, step := range s.path(from, to) {
		body, err := fs.ReadFile(s.files, step.name)
		if err != nil {
			return "", fmt.Errorf("read migration %s: %w", step.name, err)
		}
		reached := step.version
		if step.direction == source.Down {
			reached--
		}
		sql := strings.TrimSpace(string(body))
		if !strings.HasSuffix(sql, ";") {
			sql += "\n;"
		}
		fmt.Fprintf(&b, "\n-- %s\nBEGIN;\n%s\nTRUNCATE %s;\n", step.name, sql, table)
		if reached > 0 {
			fmt.Fprintf(&b, "INSERT INTO %s (version, dirty) VALUES (%d, false);\n", table, reached)
		}
		b.WriteString("COMMIT;\n")
	}
	return b.String(), nil
}

// path returns the files between two versions in the order to run them. Versions have no gaps;
// a test keeps that.
func (s Set) path(from, to uint) []file {
	direction, low, high := source.Up, from, to
	if from > to {
		direction, low, high = source.Down, to, from
	}
	steps := slices.DeleteFunc(s.list(direction), func(f file) bool { return f.version <= low || f.version > high })
	if direction == source.Down {
		slices.Reverse(steps)
	}
	return steps
}
