// Package memstore is an event store in memory, for unit tests. It keeps every
// rule of package eventstore and declares every feature, and it forgets
// everything when it is dropped.
//
// The clock can be set. Subscriptions wake by a channel and never poll, so the
// store works inside testing/synctest.
//
// It is not for production: nothing is durable, and nothing bounds its memory.
// Reads need no pages, so ReadOptions.PageSize matters to Subscribe only.
package memstore
