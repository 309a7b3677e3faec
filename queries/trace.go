package queries

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
)

// ErrNoTrace is returned by Trace if none of the events that it has looked at is the one asked for.
var ErrNoTrace = eventstore.NewError(eventstore.ClassNotFound, "no such event")

const (
	// DefaultTraceEvents is how many events a trace has at most unless TraceQuery says otherwise, MaxTraceEvents how many it may have.
	DefaultTraceEvents, MaxTraceEvents = 1000, 10_000
	// DefaultTraceScan is among how many events of the log they are looked for unless TraceQuery says otherwise: about a second of reading.
	DefaultTraceScan, MaxTraceScan = 200_000, 100_000_000
	// tracePage is how many are in memory at once.
	tracePage = 5000
	// traceBytes bounds the data of a trace.
	traceBytes = 8 << 20
	// nearBy is how far before an event its cause is looked for first, awayAtMost how far if the id has no time in it.
	nearBy, awayAtMost = 1000, 10_000
	// clockSkew is how much earlier than its id an event may have been recorded, by another clock.
	clockSkew = 5 * time.Second
)

// TraceQuery says what to trace: ID or Stream.
type TraceQuery struct {
	// ID is the id of an event, its position in the log, or a correlation id.
	ID string
	// Stream is a stream, whose first event is traced.
	Stream string
	// Data adds the events' data, up to 8 MiB.
	Data bool
	// MaxEvents is how many events the trace has at most, unless more lead from the one asked for to the first. Default: DefaultTraceEvents.
	MaxEvents int
	// MaxScan is how many events of the log are looked at to find the one asked for and the first, and again for those of the tree.
	// Default: DefaultTraceScan.
	MaxScan int64
	// Shows reports whether events of a stream may be shown: others are as if they were not there. Default: all may.
	Shows func(stream string) bool
}

// Traced is the tree of what led to what.
type Traced struct {
	// CorrelationID is that of the first event.
	CorrelationID string `json:"correlation_id,omitempty"`
	// Events are those of the tree: each is followed by those below it, which are in the order of the log.
	Events []TracedEvent `json:"events"`
	// From and Through are the first and the last position that was looked at, Head is where the log ended.
	From    int64 `json:"from"`
	Through int64 `json:"through"`
	Head    int64 `json:"head"`
	// Truncated says that there may be more behind Through: a bound was met.
	Truncated bool `json:"truncated"`
	// RootUnknown says that what began everything may be another event than the first: a bound was met on the way back to it.
	RootUnknown bool `json:"root_unknown,omitzero"`
}

// TracedEvent is an event of a trace.
type TracedEvent struct {
	// Depth is how many events are above it.
	Depth int `json:"depth"`
	// Parent is the position of the event that it is right below; 0: of none. AfterMS is how many milliseconds later it was recorded.
	Parent  int64   `json:"parent,omitzero"`
	AfterMS float64 `json:"after_ms,omitzero"`
	// Link says why it is there: Parent is its cause; or it came from outside, and Parent began its stream.
	Link TraceLink `json:"link,omitempty"`
	// Asked says that it is the event asked for.
	Asked bool `json:"asked,omitzero"`

	Position      int64     `json:"position"`
	Stream        string    `json:"stream"`
	Version       int64     `json:"version"`
	ID            uuid.UUID `json:"id"`
	Type          string    `json:"type"`
	SchemaVersion int       `json:"schema_version"`
	RecordedAt    time.Time `json:"recorded_at"`
	// CausationID is what its metadata say that it was caused by, CorrelationID what it is part of, if that is not the trace's.
	CausationID   string `json:"causation_id,omitempty"`
	CorrelationID string `json:"correlation_id,omitempty"`
	// Actor is on whose behalf it happened, Via by what of the program. Either may be unknown.
	Actor string `json:"actor,omitempty"`
	Via   string `json:"via,omitempty"`
	// Data are the event's if they were asked for: JSON, or other bytes in base64.
	Data       json.RawMessage `json:"data,omitempty"`
	DataBase64 []byte          `json:"data_base64,omitempty"`
}

// TraceLink is why an event is below another one.
type TraceLink string

const (
	// LinkCause: the one above caused it.
	LinkCause TraceLink = "cause"
	// LinkStream: nothing in the trace caused it, and the one above is the first of its stream there.
	LinkStream TraceLink = "stream"
)

// Trace returns the tree of what led to what around an event, by the causes that metadata name. Its first event is the one that
// everything began with: from the one asked for it goes back from cause to cause, and to the beginning
// of the append. In the tree is
//
//   - what an event of the tree caused,
//   - what has the first one's correlation id,
//   - what is in a stream that began in the tree, whatever caused it: the cancellation of an order that was placed in it.
//
// The events that lead from the one asked for to the first are in it wherever they are.
//
// A cause precedes what it leads to, so reading the log once from the first event on finds all of it. It holds the events of the tree
// in memory, and those of a page, and takes a third of the time that ctx has. Traced.Truncated and RootUnknown say that a bound was met,
// see TraceQuery. A cause that is not in the log, or not in the tree, is that of an event without a Parent, or with LinkStream.
//
// Errors: ErrNoTrace, eventstore.ErrStreamNotFound, those of reading the log.
func Trace(ctx context.Context, log eventstore.Reader, q TraceQuery) (Traced, error) {
	if q.MaxEvents <= 0 {
		q.MaxEvents = DefaultTraceEvents
	}
	t, err := newTracer(ctx, log, q)
	if err != nil {
		return Traced{}, err
	}
	asked, err := t.asked(ctx)
	if err != nil {
		return Traced{}, err
	}
	root, err := t.root(ctx, asked)
	if err != nil {
		return Traced{}, err
	}
	t.left = t.MaxScan
	if err := t.follow(ctx, root); err != nil {
		return Traced{}, err
	}
	return t.tree(asked.Position), nil
}

// tracer is a Trace under way.
type tracer struct {
	TraceQuery
	log  eventstore.Reader
	head int64
	// left is how many events may still be looked at, until is up to when; zero: for ever.
	left  int64
	until time.Time
	// isLate says that the time was over.
	isLate bool
	// eventOnly says that an id is none of a correlation.
	eventOnly bool
	// way are the event asked for and those that led to it, from cause to cause, the last the first.
	way           []eventstore.RecordedEvent
	isRootUnknown bool

	correlation string
	// found are the events of the tree in the order of the log, byID which has an id, and first which is the first of a stream.
	found []TracedEvent
	byID  map[uuid.UUID]int
	first map[string]int
	// began are the streams that began in the tree.
	began map[string]bool
	bytes int
	// through is the last position that was looked at for the tree.
	through int64
}

func newTracer(ctx context.Context, log eventstore.Reader, q TraceQuery) (*tracer, error) {
	if q.MaxScan <= 0 {
		q.MaxScan = DefaultTraceScan
	}
	head, err := log.Head(ctx)
	if err != nil {
		return nil, err
	}
	t := &tracer{TraceQuery: q, log: log, head: head.Position, left: q.MaxScan}
	if end, isBounded := ctx.Deadline(); isBounded {
		t.until = time.Now().Add(time.Until(end) / 3)
	}
	return t, nil
}

// FindEvent returns the event that q.ID is the id or the position of, as Trace finds it. Of q, ID, MaxScan and Shows count.
//
// Errors: ErrNoTrace, those of reading the log.
func FindEvent(ctx context.Context, log eventstore.Reader, q TraceQuery) (eventstore.RecordedEvent, error) {
	t, err := newTracer(ctx, log, q)
	if err != nil {
		return eventstore.RecordedEvent{}, err
	}
	t.eventOnly, t.Stream = true, ""
	return t.asked(ctx)
}

// look returns the first event that is picked; nil, if there is none within the bounds.
func (t *tracer) look(ctx context.Context, o eventstore.ReadOptions, picks func(*eventstore.RecordedEvent) bool) (*eventstore.RecordedEvent, error) {
	o.PageSize = tracePage
	for e, err := range t.log.ReadAll(ctx, o) {
		switch {
		case err != nil:
			return nil, err
		case t.isOver():
			return nil, nil
		case picks(&e):
			return &e, nil
		}
	}
	return nil, nil
}

func (t *tracer) shows(stream string) bool { return t.Shows == nil || t.Shows(stream) }

// isOver counts an event that is looked at, and reports whether that is one too many.
func (t *tracer) isOver() bool {
	t.left--
	t.isLate = t.isLate || t.left%nearBy == 0 && t.isTimeOver()
	return t.isOut()
}

func (t *tracer) isTimeOver() bool { return !t.until.IsZero() && time.Now().After(t.until) }

// isOut reports whether nothing more may be looked at.
func (t *tracer) isOut() bool { return t.left < 0 || t.isLate }

// follow reads the log from the first event of the tree on, and keeps those of the tree.
func (t *tracer) follow(ctx context.Context, root eventstore.RecordedEvent) error {
	t.correlation = metadataOf(&root).CorrelationID
	t.byID, t.first, t.began = make(map[uuid.UUID]int), make(map[string]int), make(map[string]bool)
	t.through = root.Position
	t.add(&root, metadataOf(&root))
	isOnWay := func(e *eventstore.RecordedEvent) bool {
		return len(t.way) > 0 && t.way[len(t.way)-1].Position == e.Position
	}
	passed := func() { t.way = t.way[:len(t.way)-1] }
	if isOnWay(&root) {
		passed()
	}
	if root.Position == t.head {
		return nil
	}
	_, err := t.look(ctx, eventstore.ReadOptions{From: root.Position + 1}, func(e *eventstore.RecordedEvent) (isFull bool) {
		m := metadataOf(e)
		isShown := t.shows(e.Stream)
		_, isEffect := t.byID[parsed(m.CausationID)]
		switch {
		case isOnWay(e):
			passed()
			t.add(e, m)
		case !isShown:
		case isEffect || t.began[e.Stream] || t.correlation != "" && m.CorrelationID == t.correlation:
			if len(t.found)+len(t.way) >= t.MaxEvents || t.Data && t.bytes+len(e.Data) > traceBytes {
				return true
			}
			t.add(e, m)
		}
		t.through = e.Position
		t.head = max(t.head, e.Position)
		return false
	})
	for _, e := range slices.Backward(t.way) { // those that it has not come to
		t.add(&e, metadataOf(&e))
	}
	return err
}

// add takes an event into the tree.
func (t *tracer) add(e *eventstore.RecordedEvent, m commands.Metadata) {
	n := TracedEvent{
		Position: e.Position, Stream: e.Stream, Version: e.Version, ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, RecordedAt: e.RecordedAt,
		CausationID: m.CausationID, Actor: m.Actor, Via: m.Via,
	}
	if m.CorrelationID != t.correlation {
		n.CorrelationID = m.CorrelationID
	}
	above, isAbove := t.byID[parsed(m.CausationID)]
	if n.Link = LinkCause; !isAbove {
		above, isAbove = t.first[e.Stream]
		n.Link = LinkStream
	}
	if isAbove {
		n.Parent = t.found[above].Position
		n.AfterMS = float64(e.RecordedAt.Sub(t.found[above].RecordedAt).Microseconds()) / 1000
	} else {
		n.Link = ""
	}
	if t.Data && t.bytes+len(e.Data) <= traceBytes {
		t.bytes += len(e.Data)
		if jsontext.Value(e.Data).IsValid() {
			n.Data = e.Data
		} else {
			n.DataBase64 = e.Data
		}
	}
	at := len(t.found)
	t.found, t.byID[e.ID] = append(t.found, n), at
	if _, isThere := t.first[e.Stream]; !isThere {
		t.first[e.Stream] = at
	}
	// The streams of the engine are about everything.
	t.began[e.Stream] = t.began[e.Stream] || e.Version == 0 && !strings.HasPrefix(e.Stream, "$")
}

// tree returns what was found as a tree.
func (t *tracer) tree(asked int64) Traced {
	below := make(map[int64][]int)
	for i := range t.found {
		n := &t.found[i]
		n.Asked = n.Position == asked
		below[n.Parent] = append(below[n.Parent], i)
	}
	all := Traced{CorrelationID: t.correlation, Events: make([]TracedEvent, 0, len(t.found)),
		From: t.found[0].Position, Through: t.through, Head: t.head, Truncated: t.through < t.head, RootUnknown: t.isRootUnknown}
	// No recursion: a chain may be long.
	type place struct{ at, depth int }
	var next []place
	push := func(parent int64, depth int) {
		for _, i := range slices.Backward(below[parent]) {
			next = append(next, place{i, depth})
		}
	}
	for push(0, 0); len(next) > 0; {
		p := next[len(next)-1]
		next = next[:len(next)-1]
		n := t.found[p.at]
		n.Depth = p.depth
		all.Events = append(all.Events, n)
		push(n.Position, p.depth+1)
	}
	return all
}

// metadataOf returns the metadata of an event; none, if they are not such as commands write.
func metadataOf(e *eventstore.RecordedEvent) commands.Metadata {
	m, err := commands.ParseMetadata(e.Metadata)
	if err != nil {
		return commands.Metadata{}
	}
	return m
}

// parsed returns an id of an event; Nil, if it is none.
func parsed(id string) uuid.UUID {
	u, err := uuid.Parse(id)
	if err != nil {
		return uuid.Nil
	}
	return u
}
