package eventstore

import (
	"strings"
	"time"

	"github.com/google/uuid"
)

// Microseconds returns a time as stores and commands keep it: in UTC, cut to the microseconds that
// PostgreSQL has. What was decided from a finer one would differ from what is read back.
func Microseconds(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// ContentTypeJSON is the content type of an event that names none.
const ContentTypeJSON = "application/json"

// Event is an event to append.
type Event struct {
	// ID identifies the event within its stream. Supply it to make a retry of
	// the append safe: the same ids with the same content are stored once. The
	// zero UUID lets the store make one. Of one append, either every event has
	// an id or none has.
	ID uuid.UUID
	// Type is the event's name, 1–256 bytes. Names that begin with '$' belong
	// to the store.
	Type string
	// SchemaVersion is the version of the type's schema, from 1. Default: 1.
	SchemaVersion int
	// ContentType says how Data is encoded. Default: application/json.
	ContentType string
	// Data and Metadata are kept byte for byte. Both may be empty.
	Data     []byte
	Metadata []byte
}

// Size returns how many bytes of data and metadata the event has.
func (e *Event) Size() int { return len(e.Data) + len(e.Metadata) }

// RecordedEvent is an event in its place in the log. It never changes.
type RecordedEvent struct {
	Event
	// Stream is the name of the event's stream.
	Stream string
	// Version is the event's place in its stream, from 0.
	Version int64
	// Position is the event's place in the log, from 1.
	Position int64
	// AppendEnd is the position of the last event of the same append, so a
	// reader can tell where an append ends.
	AppendEnd int64
	// RecordedAt is when the store wrote the event, by the store's clock. It
	// never runs backwards along positions.
	RecordedAt time.Time
}

// StreamAppend is what one append writes to one stream.
type StreamAppend struct {
	// Stream is the stream's name, 1–512 bytes of UTF-8 without control
	// characters. Names that begin with '$' belong to the store.
	Stream string
	// Expected is the demand on the stream's version. It must be said: the zero
	// value is an error.
	Expected ExpectedVersion
	// Events are written in order and together. Without any the append checks
	// Expected and writes nothing; it must carry a receipt then, or be beside
	// one to another stream that has events.
	Events []Event
}

// AppendOptions are the rare choices of an append.
type AppendOptions struct {
	// Receipt, if set, is written if the append is not refused, together with
	// its events. The store must declare Features.Receipts, or the error is
	// ErrNotSupported. Default: none.
	Receipt *Receipt
	// System says that the events are the engine's own, which tells of its work
	// in the log. Their stream and types must begin with one '$', which nobody
	// else's may, and be none of those that stores write themselves. It is never
	// set for a caller's events. Default: false.
	System bool
}

// Appended is the result of an append.
type Appended struct {
	Stream string
	// Version is the version of the last event written, or the stream's
	// present version (-1: no stream) if the append had no events.
	Version int64
	// Position is the position of the last event written, 0 if none was.
	Position int64
	// Duplicate says that the events had been stored by an earlier append,
	// whose result this is.
	Duplicate bool
	// Token marks the place in the log after which readers see the append.
	Token Token
}

// Category is the text before the first '-' of a stream's name; the whole name
// if it has none.
func Category(stream string) string {
	category, _, _ := strings.Cut(stream, "-")
	return category
}

// StreamID is the text after the first '-' of a stream's name; empty if it has
// none.
func StreamID(stream string) string {
	_, id, _ := strings.Cut(stream, "-")
	return id
}
