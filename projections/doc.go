// Package projections turns the log into read models: tables in PostgreSQL that follow the events.
//
// A Fold is the normal projection: keys, a row type, and pure functions from a row and an event to
// the row. From it the package makes the table, loads the rows that a batch of events touches,
// folds, and writes rows and checkpoint in one transaction. A fold reads nothing but its row and
// its event, so what it makes depends on the log alone. Where no fold can say it, a SQLProjector
// gets the batch and the transaction, and a BatchProjector works out beforehand what to write.
//
// A Runner keeps projections up to date, each on its own. What it promises:
//
//   - The rows are what the events up to the checkpoint make of them, always: both move in one
//     transaction, whatever crashes.
//   - One process applies a projection at a time. A lease says which; its epoch is compared in the
//     transaction that writes, so an owner that was frozen and lost it cannot write any more.
//   - An event that cannot be applied stops its projection, and only that. Everything before its
//     append is applied. Admin shows event, error and a hint; Resume tries again, Skip leaves the
//     event out and keeps a record with the reason.
//   - An unreachable or full database never stops a projection: it goes on when that is over.
//
// Rows are in tables named by generation, behind a view with the projection's name. A new Version
// is built into a generation of its own, while programs that know the old one go on with theirs;
// the view changes over when the new one has caught up. Package queries reads the generation that
// fits the program.
//
// Operations rebuild the rows beside those that are read and switch to them, go back to those of
// before, compare them with a fresh fold of the log, and repair a single one. Any process that runs
// the projection works on them, and goes on with them when another has died: Runner.Run,
// Admin.Request.
//
// What a fold must keep to: it depends on nothing but its row and event (no clock, no other state),
// writes nothing into its event, which other folds may see, and two rows share no memory. What a
// row has from an event may be changed in the row. A change of what it makes needs a higher
// Version.
package projections
