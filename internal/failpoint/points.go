package failpoint

import "slices"

// Point is the name of an instruction.
type Point string

// PointInfo describes a point.
type PointInfo struct {
	Name Point
	// Where says which instruction it is.
	Where string
	// Fails says that the action error is possible.
	Fails bool
}

// Points returns all points.
func Points() []PointInfo { return slices.Clone(points) }

// The points, in the order in which an event comes by them.
const (
	AppendBegin     Point = "append/begin"
	AppendJudged    Point = "append/judged"
	AppendLocked    Point = "append/locked"
	AppendSent      Point = "append/sent"
	AppendCommitted Point = "append/committed"
	AppendAnswered  Point = "append/answered"
	AppendUnknown   Point = "append/unknown"
	AppendLanded    Point = "append/landed"
	AppendNames     Point = "append/names"

	TxLocked    Point = "tx/locked"
	TxWritten   Point = "tx/written"
	TxCommitted Point = "tx/committed"
	TxUnknown   Point = "tx/unknown"

	NotifySend   Point = "notify/send"
	ReadPage     Point = "read/page"
	ReceiptPurge Point = "receipt/purge"
	AdoptWritten Point = "adopt/written"
	AdoptDone    Point = "adopt/done"

	CommandDecided  Point = "command/decided"
	CommandAppended Point = "command/appended"

	ProjectRead      Point = "project/read"
	ProjectFolded    Point = "project/folded"
	ProjectCommitted Point = "project/committed"
	ProjectFailing   Point = "project/failing"

	LeaseLooked   Point = "lease/looked"
	LeaseAcquired Point = "lease/acquired"
	LeaseRenewing Point = "lease/renewing"
	LeaseRenewed  Point = "lease/renewed"
	LeaseReleased Point = "lease/released"

	OperationClaimed Point = "operation/claimed"
	OperationEnding  Point = "operation/ending"

	RebuildPrepared  Point = "rebuild/prepared"
	RebuildFolded    Point = "rebuild/folded"
	RebuildCopied    Point = "rebuild/copied"
	RebuildRecorded  Point = "rebuild/recorded"
	RebuildIndexed   Point = "rebuild/indexed"
	RebuildCompleted Point = "rebuild/completed"
	RebuildCaughtUp  Point = "rebuild/caught-up"
	RebuildPointed   Point = "rebuild/pointed"
	RebuildSwitched  Point = "rebuild/switched"
	RebuildDropping  Point = "rebuild/dropping"
	RebuildDropped   Point = "rebuild/dropped"

	SnapshotTaken Point = "snapshot/taken"

	DeliverTaken   Point = "deliver/taken"
	DeliverMoved   Point = "deliver/moved"
	DeliverLeaving Point = "deliver/leaving"

	ArchiveWritten Point = "archive/written"

	SagaTold     Point = "saga/told"
	SagaStep     Point = "saga/step"
	SagaCalled   Point = "saga/called"
	SagaRecorded Point = "saga/recorded"
	SagaTimer    Point = "saga/timer"

	MigrateLocked  Point = "migrate/locked"
	MigrateRunning Point = "migrate/running"
	MigrateRan     Point = "migrate/ran"
)

var points = []PointInfo{
	{AppendBegin, "a batch of appends was taken from the queue, nothing was sent", false},
	{AppendJudged, "fast path: the verdicts are there, lock and write were not sent", false},
	{AppendLocked, "slow path: the log is locked, the verdicts are there, nothing was written", false},
	{AppendSent, "what commits was sent, its answer was not read", false},
	{AppendCommitted, "the commit has succeeded, nobody was told", false},
	{AppendAnswered, "one caller of the batch more has its answer; readers know of the events", false},
	{AppendUnknown, "the answer to the commit was lost, nothing was done about it", false},
	{AppendLanded, "a batch whose answer was lost was found in the log, under the lock", false},
	{AppendNames, "new event types have their ids, which are committed, categories not yet", false},
	{TxLocked, "AppendCommit: the log is locked, nothing was written", false},
	{TxWritten, "AppendCommit: the events are written, COMMIT was not sent", false},
	{TxCommitted, "AppendCommit: COMMIT has succeeded, nobody was told", false},
	{TxUnknown, "AppendCommit: the answer to COMMIT was lost, nothing was done about it", false},
	{NotifySend, "other processes are about to be notified of an append; error: they are not", true},
	{ReadPage, "a page of the log is about to be read; error: the read ends with it", true},
	{ReceiptPurge, "some old receipts were removed", false},
	{AdoptWritten, "the new incarnation of the log is written, not committed", false},
	{AdoptDone, "the new incarnation is committed, this process goes by the old one", false},
	{CommandDecided, "a command is decided, nothing was appended", false},
	{CommandAppended, "what a command decided is in the log, its state is not in the cache", false},
	{ProjectRead, "a batch of events was read, its rows were not", false},
	{ProjectFolded, "a batch is folded, rows and checkpoint were not written; error: nor will they be", true},
	{ProjectCommitted, "rows and checkpoint are committed, this process does not know", false},
	{ProjectFailing, "an event cannot be applied, which is not recorded yet", false},
	{LeaseLooked, "it is known which generation of a projection serves, its lease is not taken", false},
	{LeaseAcquired, "a projection's lease was taken, nothing was read", false},
	{LeaseRenewing, "a lease is about to be renewed", false},
	{LeaseRenewed, "a lease was renewed", false},
	{LeaseReleased, "a lease was given back", false},
	{OperationClaimed, "an operation was claimed, nothing was done for it", false},
	{OperationEnding, "an operation has done its work, which is not recorded yet", false},
	{RebuildPrepared, "a rebuild has its generation, which is empty", false},
	{RebuildFolded, "a pass over the log is done, none of its rows are copied", false},
	{RebuildCopied, "some buckets are copied, neither recorded nor committed", false},
	{RebuildRecorded, "some buckets are copied, recorded and committed", false},
	{RebuildIndexed, "the indexes are made, not committed", false},
	{RebuildCompleted, "the new generation is complete up to its target", false},
	{RebuildCaughtUp, "the new generation is about to take its place, if it is as far", false},
	{RebuildPointed, "the pointer is moved, not committed", false},
	{RebuildSwitched, "the new generation has taken its place", false},
	{RebuildDropping, "an old generation is about to be dropped", false},
	{RebuildDropped, "an old generation was dropped", false},
	{SnapshotTaken, "a snapshot was taken, not written", false},
	{DeliverTaken, "partitions of subscriptions were taken, nothing of them is delivered", false},
	{DeliverMoved, "cursors and rows are committed, this process does not know", false},
	{DeliverLeaving, "a process that delivers has given all back, and counts as one still", false},
	{ArchiveWritten, "a segment of an archive is written, which nobody knows", false},
	{SagaTold, "an event is about to be handed to its instance of a saga; error: it is not", true},
	{SagaStep, "a step of a saga is about to be done, or undone: its instance was read; error: it is not", true},
	{SagaCalled, "a step of a saga has called, which is not recorded; error: as if the call had failed", true},
	{SagaRecorded, "what an event, a step or a timer has led to is in the log; error: whoever handed it over hears that it failed", true},
	{SagaTimer, "the time of a step of a saga has come, which its instance was not told; error: nor is it this time", true},
	{MigrateLocked, "this process may migrate, others wait", false},
	{MigrateRunning, "a file of migrations is about to run", false},
	{MigrateRan, "a file of migrations has run, and the schema says so", false},
}
