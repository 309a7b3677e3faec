package migrations

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrLocked is returned by Up and Down when other sessions kept a lock on one of the tables for
// as long as the migration was willing to try. Nothing of the file that needed it was applied.
var ErrLocked = errors.New("a table stayed locked by another session")

// DirtyError is returned by Up and Down when an earlier migration was cut off before it could say
// how it ended, for example by a crash. Nothing is done until an operator has looked. It was one of
// a program of before: now each migration says so in its own transaction.
type DirtyError struct {
	Schema  string
	Module  string // empty: the log's tables
	Version uint   // the version that the cut-off migration was going to
}

func (e *DirtyError) Error() string {
	return fmt.Sprintf("%s is marked dirty at version %d: a migration was cut off", tablesOf(strconv.Quote(e.Schema), e.Module), e.Version)
}

// Reason returns the code of what to do about it, the version or module, and the schema.
func (e *DirtyError) Reason() (code, subject, schema string) {
	if e.Module != "" {
		return "module-migration-cut-off", e.Module, e.Schema
	}
	return "migration-cut-off", strconv.FormatUint(uint64(e.Version), 10), e.Schema
}

// BehindError is returned by State.Check for tables that are older than this binary needs them.
type BehindError struct {
	Schema          string
	Module          string // empty: the log's tables
	Current, Latest uint
}

func (e *BehindError) Error() string {
	return fmt.Sprintf("%s is at version %d, this program needs version %d", tablesOf(e.Schema, e.Module), e.Current, e.Latest)
}

// Reason returns the code of what to do about it, and the schema.
func (e *BehindError) Reason() (code, subject, schema string) { return "tables-behind", "", e.Schema }

// PoolerError is returned by Up, Down and Force on connections that do not take the settings of a
// session, such as those of a pooler. Nothing is done.
type PoolerError struct{ cause error }

func (e *PoolerError) Error() string {
	return "the connection does not take the settings of a session that migrations need"
}

// Unwrap returns what the pooler said, if anything.
func (e *PoolerError) Unwrap() error { return e.cause }

// Hint says how to get on.
func (e *PoolerError) Hint() string {
	return "connect to the database server itself, not to a pooler in front of it"
}

// NewerError is returned by Up and Down when the tables are at a version that this binary does not
// know.
type NewerError struct {
	Schema          string
	Module          string // empty: the log's tables
	Current, Latest uint
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("%s is at version %d, this binary knows versions up to %d", tablesOf(strconv.Quote(e.Schema), e.Module), e.Current, e.Latest)
}

// Hint says how to get on.
func (e *NewerError) Hint() string {
	return "run a binary at least as new as the one that migrated the database"
}

// tablesOf says whose tables an error is about.
func tablesOf(schema, module string) string {
	if module == "" {
		return "schema " + schema
	}
	return fmt.Sprintf("module %s in schema %s", module, schema)
}
