// Package pgstore keeps an event log in PostgreSQL.
//
// All appends of a process pass through one appender, which writes those that
// wait in one transaction. The transaction locks the log's lock row first, so
// appends of all processes come strictly one after another: positions are
// gapless and in commit order, and readers need no timeouts and no gap
// detection. While nobody else appended since this process did, what it
// remembers of streams still holds, and lock, check, insert and commit go out
// in one round trip (the fast path). Otherwise the streams are read under the
// lock (the slow path).
//
// A connection that is lost around COMMIT leaves an unknown outcome. The
// appender settles it under the lock before it answers.
//
// The tables are made by package migrations.
package pgstore
