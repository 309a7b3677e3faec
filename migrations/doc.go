// Package migrations owns the tables of the log and of everything around it: the numbered
// SQL files and what applies them.
//
// The files are applied by golang-migrate, one after another, each in one transaction: a
// file is applied wholly or not at all. They name no schema; they run with search_path set to
// the one schema that holds everything of ours, so that a database can hold several logs.
// The applied version is kept in the schema's own table schema_migrations.
//
// Up is safe to call from any number of processes at once, also on an empty database: one of
// them works, the others wait and find nothing left to do. It needs a direct connection, since
// that wait is a session lock, which a pooler in transaction mode would give to somebody else.
//
// A migration never makes appends wait for long. A statement that alters a table queues behind
// whoever reads it, and every append queues behind the statement; so each one waits at most
// lockTimeout for its locks, gives up, lets the others pass and tries again.
//
// Released files are never edited. Expand first, contract one release later: the previous
// binary keeps running on the new tables while a deployment rolls.
package migrations
