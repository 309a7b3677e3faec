// Package snapshots keeps states of streams in PostgreSQL, so that commands on long streams need
// not begin with their first event.
//
// Snapshots are made off the append path, by a projection for each decider: Projections returns
// them, for a projections.Runner. Whenever a stream has come to another multiple of its category's
// number of events, the projection loads it, from the last snapshot on, and keeps the state.
// Handlers of package commands find it there through Store, a commands.SnapshotStore, and check
// whether it fits.
//
// Snapshots are a copy of what the log says. They can be purged at any time, and made again by
// Rebuild. The one thing that rests on them: a stream whose first events are hidden by its metadata
// loads only as long as it has a snapshot that fits.
package snapshots
