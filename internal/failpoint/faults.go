package failpoint

import "slices"

// Fault is the name of a mistake that can be planted in the product.
type Fault string

// FaultInfo describes a fault.
type FaultInfo struct {
	Name Fault
	// What says what is wrong with the product when it is planted.
	What string
}

// Faults returns all faults.
func Faults() []FaultInfo { return slices.Clone(faults) }

// The faults: of appends, of reads, of commands, of projections, of rebuilds.
const (
	AppendUnlocked       Fault = "append-unlocked"
	SequencePositions    Fault = "sequence-positions"
	XminHorizon          Fault = "xmin-horizon"
	VersionsBeforeLock   Fault = "versions-before-lock"
	FastPathUnguarded    Fault = "fast-path-unguarded"
	CacheSurvives        Fault = "cache-survives"
	TailAcross           Fault = "tail-across"
	IDsNotLookedUp       Fault = "ids-not-looked-up"
	IDsBeforeLock        Fault = "ids-before-lock"
	SuppliedIDReplaced   Fault = "supplied-id-replaced"
	AnswerBeforeCommit   Fault = "answer-before-commit"
	AsynchronousCommit   Fault = "asynchronous-commit"
	ReceiptsUnchecked    Fault = "receipts-unchecked"
	ReceiptApart         Fault = "receipt-apart"
	BlindRetry           Fault = "blind-retry"
	BareLookUp           Fault = "bare-look-up"
	RecordedAtBegin      Fault = "recorded-at-begin"
	ConnectionLeak       Fault = "connection-leak"
	HomeUnchecked        Fault = "home-unchecked"
	IncarnationUnchecked Fault = "incarnation-unchecked"

	NotifyOnly        Fault = "notify-only"
	GapIgnored        Fault = "gap-ignored"
	AppendSplit       Fault = "append-split"
	ResumeLate        Fault = "resume-late"
	ResumeEarly       Fault = "resume-early"
	TruncationIgnored Fault = "truncation-ignored"

	DecidedUnversioned   Fault = "decided-unversioned"
	StaleRefusal         Fault = "stale-refusal"
	SnapshotBeyondDelete Fault = "snapshot-beyond-delete"
	SnapshotOfOtherKind  Fault = "snapshot-of-other-kind"

	CheckpointApart   Fault = "checkpoint-apart"
	CheckpointAhead   Fault = "checkpoint-ahead"
	DigestNotMoved    Fault = "digest-not-moved"
	LeaseWithoutEpoch Fault = "lease-without-epoch"
	LeaseOfReplaced   Fault = "lease-of-replaced"
	SkipUnrecorded    Fault = "skip-unrecorded"
	FoldRetriedDirty  Fault = "fold-retried-dirty"
	GoroutineLeak     Fault = "goroutine-leak"

	TokenShort Fault = "token-short"
	AsOfLater  Fault = "as-of-later"

	RebuildLosesTail  Fault = "rebuild-loses-tail"
	BucketTwice       Fault = "bucket-twice"
	SwitchEarly       Fault = "switch-early"
	SwitchKeepsEpochs Fault = "switch-keeps-epochs"
)

var faults = []FaultInfo{
	{AppendUnlocked, "appends do not take the lock of the log"},
	{SequencePositions, "positions come from a sequence, appends do not take the lock, and readers do not look for gaps"},
	{XminHorizon, "readers stop at the oldest transaction that is running"},
	{VersionsBeforeLock, "the versions of streams are read in the statement before the lock"},
	{FastPathUnguarded, "what is written does not depend on the end of the log that it was judged by"},
	{CacheSurvives, "what is remembered of streams is kept when another process has appended"},
	{TailAcross, "recent events are kept as a run when another process has appended in between"},
	{IDsNotLookedUp, "ids that a caller supplied are not looked up"},
	{IDsBeforeLock, "ids that a caller supplied are looked up before the lock"},
	{SuppliedIDReplaced, "events get a new id at every try, whatever the caller supplied"},
	{AnswerBeforeCommit, "callers are answered before the commit"},
	{AsynchronousCommit, "appends are committed with synchronous_commit off"},
	{ReceiptsUnchecked, "receipts are not looked up under the lock"},
	{ReceiptApart, "receipts are written in a transaction after that of the events"},
	{BlindRetry, "an append whose answer was lost is sent again without a look"},
	{BareLookUp, "whether an append whose answer was lost has landed is looked up before the lock"},
	{RecordedAtBegin, "events are dated by the begin of their transaction"},
	{ConnectionLeak, "connections made to name new event types are not closed"},
	{HomeUnchecked, "a copy of the log takes appends without having been adopted"},
	{IncarnationUnchecked, "readers go on in another life of the log as if it were the same"},
	{NotifyOnly, "events of other processes are found by notification only, never by polling"},
	{GapIgnored, "readers do not notice that a position is missing"},
	{AppendSplit, "subscriptions deliver a part of an append"},
	{ResumeLate, "subscriptions resume one event too late"},
	{ResumeEarly, "subscriptions resume one event too early"},
	{TruncationIgnored, "reads of a stream show what its metadata hides"},
	{DecidedUnversioned, "what a command decided is appended whatever the version of the stream"},
	{StaleRefusal, "a refusal decided from a remembered state is final"},
	{SnapshotBeyondDelete, "a snapshot from before a deletion is used after it"},
	{SnapshotOfOtherKind, "a snapshot of another schema version is used"},
	{CheckpointApart, "the checkpoint moves in a transaction after that of the rows"},
	{CheckpointAhead, "the checkpoint is one position beyond what was applied"},
	{DigestNotMoved, "the checkpoint moves without its digest"},
	{LeaseWithoutEpoch, "a batch is written without a look at the epoch of the lease"},
	{LeaseOfReplaced, "the lease of a generation is taken though another has taken its place"},
	{SkipUnrecorded, "an event that cannot be decoded is left out, and nothing says so"},
	{FoldRetriedDirty, "a batch that is tried again begins with the rows that the first try left in memory"},
	{GoroutineLeak, "whoever renews a lease goes on when the lease is gone"},
	{TokenShort, "reads wait for the event before the one that their token names"},
	{AsOfLater, "rows of the past have one event too many"},
	{RebuildLosesTail, "a rebuild passes over what was appended while it read the log"},
	{BucketTwice, "a rebuild copies buckets that are there already"},
	{SwitchEarly, "a rebuilt generation takes its place before it has caught up"},
	{SwitchKeepsEpochs, "the switch of generations leaves their epochs as they are"},
}
