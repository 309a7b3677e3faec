// Package pgsql puts names into SQL: the schema of a statement, and what is quoted. Values are
// always parameters.
package pgsql

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/jackc/pgx/v5"
)

// DefaultSchema is the schema of the log and all that belongs to it unless somebody chose another.
const DefaultSchema = "recount"

// Name quotes a name, which may be qualified: Name("recount", "events") is "recount"."events".
func Name(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

// Size returns how many bytes the values of the row that was read last have.
func Size(rows pgx.Rows) (bytes int) {
	for _, value := range rows.RawValues() {
		bytes += len(value)
	}
	return bytes
}

// In puts the name of a schema, quoted, into a statement, for each {schema} in it.
func In(schema, statement string) string {
	return strings.ReplaceAll(statement, "{schema}", Name(schema))
}

// Origin is what tells the database of a log from others, and from what it was restored from: a system identifier, a
// timeline and the OID of the database.
//
// The timeline of the last checkpoint lags behind a promotion; the name of the present WAL file does not. A standby has
// none, and takes no writes.
const Origin = `
SELECT (pg_control_system()).system_identifier,
       CASE WHEN pg_is_in_recovery() THEN 0
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint END,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database())`

// Channel names the notifications about the log in a schema, and about leases there. PostgreSQL
// takes names of
// 63 bytes: that of a longer one, and the end of the schema's name, are in a hash.
func Channel(schema string) string {
	const limit, suffix, hashed = 63, "_log", 16
	name := schema + suffix
	if len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	end := "_" + hex.EncodeToString(sum[:])[:hashed] + suffix
	return strings.ToValidUTF8(name[:limit-len(end)], "") + end
}
