// Package pgsql puts names into SQL: the schema of a statement, and what is quoted. Values are
// always parameters.
package pgsql

import (
	"strings"

	"github.com/jackc/pgx/v5"
)

// DefaultSchema is the schema of the log and all that belongs to it unless somebody chose another.
const DefaultSchema = "recount"

// Name quotes a name, which may be qualified: Name("recount", "events") is "recount"."events".
func Name(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// In puts the name of a schema, quoted, into a statement, for each {schema} in it.
func In(schema, statement string) string {
	return strings.ReplaceAll(statement, "{schema}", Name(schema))
}
