package eventstore

import (
	"math"
	"slices"
	"strings"
)

// End is where reading backwards begins at the last event.
const End = math.MaxInt64

const (
	// DefaultPageSize is how many events a page or batch has unless ReadOptions
	// say otherwise.
	DefaultPageSize = 1000
	// DefaultPageBytes is how many bytes of data and metadata they have.
	DefaultPageBytes = 8 << 20
)

// ReadOptions say what to read.
type ReadOptions struct {
	// From is the first version (ReadStream) or position (ReadAll, Subscribe)
	// to read, inclusive. Default: the beginning. To read all of it backwards
	// set it to End.
	From int64
	// After, if set, replaces From in ReadAll and Subscribe: reading begins
	// with the event behind the token (the one before it, backwards), if this
	// is the log that it came from, else the error is a *LogChangedError.
	After Token
	// Backwards reads towards the beginning. Default: forwards.
	Backwards bool
	// Limit is how many events to yield at most. Default: all.
	Limit int64
	// PageSize is how many events to hold in memory at once; a page grows
	// beyond it rather than split an append. Default: 1000.
	PageSize int
	// PageBytes is how many bytes of data and metadata to hold in memory at
	// once, whatever PageSize is; a page grows beyond it for one event, and in
	// Subscribe for one append. Default: 8 MiB.
	PageBytes int
	// Filter picks events (ReadAll, Subscribe). Default: all.
	Filter Filter
	// Positions, if set, are all that ReadAll yields, in this order, which must be
	// that of the log. Those that it does not have are left out. What says where to begin
	// and what to pick must not be set then. Default: all.
	Positions []int64
}

// WithDefaults returns o with the default sizes of pages where it has none.
func (o ReadOptions) WithDefaults() ReadOptions {
	if o.PageSize <= 0 {
		o.PageSize = DefaultPageSize
	}
	if o.PageBytes <= 0 {
		o.PageBytes = DefaultPageBytes
	}
	return o
}

// Filter picks events of the log. Fields that are set must all match; a field
// matches if one of its values does. The zero Filter picks everything.
type Filter struct {
	// Types are event type names, matched whole.
	Types []string
	// Categories are stream categories, matched whole.
	Categories []string
	// StreamPrefixes are beginnings of stream names.
	StreamPrefixes []string
	// Others, if set, picks types besides those of Types.
	Others *Others
}

// Others picks the events of types that a program does not know, for it to notice
// them in their place.
type Others struct {
	// Known are the names of event types that are not picked. Those of the store
	// itself, which begin with '$', never are.
	Known []string
	// Except are stream categories of which none are picked.
	Except []string
}

func (o *Others) match(eventType, category string) bool {
	return o != nil && !strings.HasPrefix(eventType, "$") && !slices.Contains(o.Known, eventType) &&
		!slices.Contains(o.Except, category)
}

// IsZero reports whether the filter picks everything.
func (f Filter) IsZero() bool {
	return len(f.Types) == 0 && len(f.Categories) == 0 && len(f.StreamPrefixes) == 0
}

// Match reports whether the filter picks an event of the given type in the given
// stream.
func (f Filter) Match(eventType, stream string) bool {
	return (len(f.Types) == 0 || slices.Contains(f.Types, eventType) || f.Others.match(eventType, Category(stream))) &&
		(len(f.Categories) == 0 || slices.Contains(f.Categories, Category(stream))) &&
		(len(f.StreamPrefixes) == 0 || slices.ContainsFunc(f.StreamPrefixes, func(p string) bool {
			return strings.HasPrefix(stream, p)
		}))
}

// Batch is a piece of the log as a subscription sees it.
type Batch struct {
	// Events are the events picked, by position. There may be none.
	Events []RecordedEvent
	// Next is the position to go on from: everything below it was delivered
	// or filtered out. It is what a checkpoint keeps.
	Next int64
	// Head is the last place in the log when the batch was read.
	Head Token
}

// Token returns the place in the log that the batch reaches.
func (b Batch) Token() Token {
	t := b.Head
	t.Position = b.Next - 1
	return t
}
