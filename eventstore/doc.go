// Package eventstore is the contract of Recount's event stores: what can be
// appended and read, in which order, and which errors say what went wrong.
//
// A log is one append-only sequence of events. Every event has a position in
// the log (from 1, in commit order) and a version in its stream (from 0). A
// stream is a named sequence inside the log; the text before the first '-' of
// its name is its category.
//
// Append writes to one stream under a demand on its version: Any, NoStream,
// StreamExists or Exact(n). Readers see an append whole or not at all.
// ReadStream honours stream metadata and deletion; ReadAll and Subscribe never
// do, so replay always sees everything that was ever appended.
//
// What not every store can do is an optional interface that the store declares
// in Features: MultiStreamAppender, ReceiptStore, StreamManager. The suite in
// package storetest tests what is declared.
//
// Stores move exact bytes. Codec turns Go values into bytes and back, by type
// name and schema version, and runs upcasters on read. Events can always be
// read without it.
//
// The stores are in sub-packages named by their technology: pgstore keeps the
// log in PostgreSQL, memstore in memory for unit tests.
package eventstore
