package projections

import "github.com/57528e99/recount/operations"

// Why a projection, or an operation on one, has failed, or is refused. What to do about it is said
// by the program.
const (
	ReasonLogChanged   operations.Reason = "log-changed"       // the rows are of another log
	ReasonLogCorrupt   operations.Reason = "log-corrupt"       // an event is not as it was appended
	ReasonNoRow        operations.Reason = "no-row"            // an event comes before its row is made, or after it is deleted
	ReasonTableChanged operations.Reason = "table-changed"     // it is not as it was made, or a statement is wrong
	ReasonRowRefused   operations.Reason = "row-refused"       // by PostgreSQL
	ReasonNotApplied   operations.Reason = "event-not-applied" // it cannot be decoded or applied

	ReasonAppliedBefore operations.Reason = "event-applied-before" // it cannot be applied any more, but its rows are there
	ReasonTooLarge      operations.Reason = "memory-too-small"     // operations.Options.MemoryBytes
	ReasonNoFold        operations.Reason = "not-a-fold"           // only folds can be verified and repaired
	ReasonNotBuilt      operations.Reason = "not-built"            // the version has no rows yet
	ReasonPaused        operations.Reason = "projection-paused"    // so what is built cannot catch up
	ReasonReplaying     operations.Reason = "applied-one-by-one"   // rows cannot be copied; it will stop on the event that is why
	ReasonPassesDiffer  operations.Reason = "passes-differ"        // two passes over the log found different events
	ReasonCopyDiffers   operations.Reason = "copy-differs"         // the table does not have the rows that were copied
	ReasonFoldDiffers   operations.Reason = "folds-differ"         // two folds of the same events

	ReasonOtherLog        operations.Reason = "log-of-another-app"        // the App is not on the log
	ReasonOtherProjection operations.Reason = "projection-of-another-app" // two Apps have the same name for one
)
