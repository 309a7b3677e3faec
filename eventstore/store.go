package eventstore

import (
	"context"
	"iter"
	"time"
)

// Store is what every event store does.
type Store interface {
	Appender
	Reader
	// Features says which optional abilities the store has.
	Features() Features
}

// Appender appends to one stream.
type Appender interface {
	// Append writes the events of a to its stream, all or none, if the stream
	// is at the expected version. When it returns without an error the events
	// are durable.
	//
	// It is idempotent for events whose ids the caller supplied: appended
	// again with the same type, schema version and data, they are not written
	// again and the result is the first one with Duplicate set. The same id
	// with other content, or an append of which only a part is known, is
	// ErrIDReused. Nothing is remembered of an append that was refused.
	//
	// Errors: *InvalidError, *ConflictError, *StreamDeletedError,
	// *IDReusedError, *ReceiptKnownError, *ReceiptMismatchError: nothing was
	// written. ErrOverloaded, ErrUnavailable: nothing was written, try later.
	// ErrOutcomeUnknown: the events may have been written or may yet be;
	// append again with the same ids or receipt to find out.
	Append(ctx context.Context, a StreamAppend, opts AppendOptions) (Appended, error)
}

// Reader reads events, page by page: no connection or lock is held while the
// caller's code runs. An error is the last pair of a sequence; options that
// make no sense are an *InvalidError. The bytes of the events are the caller's.
type Reader interface {
	// ReadStream yields the events of one stream by version, from opts.From. It
	// honours the stream's metadata and deletion. Opts.Filter and opts.After
	// must be empty. A stream that was never written or is deleted is
	// ErrStreamNotFound, a tombstoned one ErrStreamDeleted. Reading past the end
	// yields nothing and is no error.
	ReadStream(ctx context.Context, stream string, opts ReadOptions) iter.Seq2[RecordedEvent, error]
	// ReadAll yields the events of the log by position, from opts.From or those
	// of opts.Positions, as far as the log reached when reading began. It ignores stream metadata and
	// deletion: it yields everything.
	ReadAll(ctx context.Context, opts ReadOptions) iter.Seq2[RecordedEvent, error]
	// Subscribe yields the events of the log from opts.From in batches, first
	// those that are there, then new ones as they come, in order, each once.
	// An append is never split between batches. It ends when ctx is done, with
	// ctx's error. Opts.Backwards and opts.Limit must not be set.
	//
	// A batch may have no events: it tells how far a filtered read has come.
	// While there is nothing new, no batch is yielded.
	Subscribe(ctx context.Context, opts ReadOptions) iter.Seq2[Batch, error]
	// Head returns the place of the last event of the log.
	Head(ctx context.Context) (Token, error)
}

// Features says what a store can do beyond Store. A field that is set promises
// that the store implements the interface named.
type Features struct {
	// MultiStreamAppend: MultiStreamAppender.
	MultiStreamAppend bool
	// Receipts: ReceiptStore, and Append takes a receipt.
	Receipts bool
	// GaplessLog: positions are 1, 2, 3, … without gaps.
	GaplessLog bool
	// StreamManagement: StreamManager.
	StreamManagement bool
	// Contents: ContentLister.
	Contents bool
}

// MultiStreamAppender appends to several streams at once.
type MultiStreamAppender interface {
	// AppendStreams is Append for several streams: all is written or nothing,
	// and readers see it as one append. The results are in the order of
	// appends. A stream may occur more than once; a later append sees the
	// earlier ones. A retry must repeat all of it: that only some streams have
	// their part is ErrIDReused.
	AppendStreams(ctx context.Context, appends []StreamAppend, opts AppendOptions) ([]Appended, error)
}

// Receipt is a caller's idempotency key and the answer that goes with it.
type Receipt struct {
	// Scope and Key identify the receipt. Scope says whose key it is and for
	// what, e.g. a principal and a route. 1–255 bytes each.
	Scope, Key string
	// Fingerprint identifies the request, to tell a retry from a key that is
	// used for something else. At most 64 bytes.
	Fingerprint []byte
	// Answer is kept for the caller as it is. At most 64 KiB.
	Answer []byte
	// Window is for how long after it was stored an earlier receipt counts, at
	// most 24 hours, and at most for as long as the store keeps it: an older one is replaced by this. It is of the append, not
	// kept. Default: for as long as it is kept.
	Window time.Duration
}

// StoredReceipt is a receipt that was written, with the results of the append
// that it was written with.
type StoredReceipt struct {
	Receipt
	Appended []Appended
	StoredAt time.Time
}

// ReceiptStore keeps receipts, for as long as its owner wants.
type ReceiptStore interface {
	// Receipt returns the receipt with the given scope and key, or
	// ErrReceiptNotFound.
	Receipt(ctx context.Context, scope, key string) (StoredReceipt, error)
	// PurgeReceipts removes the receipts stored before the given time and
	// returns how many there were.
	PurgeReceipts(ctx context.Context, before time.Time) (int64, error)
}

// StreamManager sets stream metadata and deletes streams. All of it is appended
// to the log as events; nothing is removed from the log.
type StreamManager interface {
	// SetStreamMetadata replaces the stream's metadata. The stream need not
	// exist yet.
	SetStreamMetadata(ctx context.Context, stream string, m StreamMetadata) error
	// StreamInfo returns the state of a stream. A stream that was never
	// written is ErrStreamNotFound.
	StreamInfo(ctx context.Context, stream string) (StreamInfo, error)
	// DeleteStream hides the stream's events from ReadStream. The stream can
	// be created again; its versions go on from there. There must be something
	// to delete: Any means StreamExists, so a stream that was never written is
	// a *ConflictError and one that is deleted a *StreamDeletedError. Errors as
	// Append.
	DeleteStream(ctx context.Context, stream string, expected ExpectedVersion) (Appended, error)
	// TombstoneStream is DeleteStream for ever: the stream takes no event any
	// more.
	TombstoneStream(ctx context.Context, stream string, expected ExpectedVersion) (Appended, error)
}

// ContentLister tells of what the log consists without reading it.
type ContentLister interface {
	// Contents returns which types of events there are in which schema versions
	// and categories, by the first position of each. It is what ReadAll yields
	// at the time, counted.
	Contents(ctx context.Context) ([]Content, error)
}

// Content is all events of a type and schema version in the streams of a category.
type Content struct {
	Category      string
	Type          string
	SchemaVersion int
	// First is the position of the first of them, Events how many there are.
	First, Events int64
}

// StreamMetadata limits what ReadStream shows of a stream. The zero value shows
// all of it.
type StreamMetadata struct {
	// MaxCount is how many of the last events are shown. 0: all.
	MaxCount int64 `json:"$maxCount,omitempty"`
	// MaxAge is how old an event may be to be shown, in whole seconds. 0: any
	// age.
	MaxAge Seconds `json:"$maxAge,omitempty"`
	// TruncateBefore is the first version that is shown.
	TruncateBefore int64 `json:"$tb,omitempty"`
}

// Seconds is a duration in whole seconds.
type Seconds int64

// Duration returns s as a time.Duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// StreamInfo is the state of a stream.
type StreamInfo struct {
	Stream string
	// Version is the version of the last event, marks of deletion included.
	Version int64
	// FirstVersion is the version at which the stream's present life began: 0,
	// or the one after its last deletion. Metadata may hide it.
	FirstVersion int64
	// Deleted says that the stream is deleted and not created again.
	Deleted bool
	// Tombstoned says that it is deleted for ever.
	Tombstoned bool
	Metadata   StreamMetadata
}

// FirstShown returns the lowest version that MaxCount, TruncateBefore and
// deletion leave visible. MaxAge may hide more.
func (i StreamInfo) FirstShown() int64 {
	first := max(i.FirstVersion, i.Metadata.TruncateBefore)
	if i.Metadata.MaxCount > 0 {
		first = max(first, i.Version-i.Metadata.MaxCount+1)
	}
	return first
}

// Visible reports whether deletion and metadata leave an event of the stream
// visible at a time of the store's clock.
func (i StreamInfo) Visible(e *RecordedEvent, now time.Time) bool {
	maxAge := i.Metadata.MaxAge.Duration()
	return e.Version >= i.FirstShown() && e.Version <= i.Version && (maxAge == 0 || now.Sub(e.RecordedAt) <= maxAge)
}
