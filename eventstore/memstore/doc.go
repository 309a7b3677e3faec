// Package memstore is an event store in memory, for unit tests. It keeps every
// rule of package eventstore and declares every feature, and it forgets
// everything when it is dropped.
//
// It is not for production: nothing is durable, and nothing bounds its memory.
package memstore
