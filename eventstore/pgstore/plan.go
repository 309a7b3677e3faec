package pgstore

import (
	"maps"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/internal/verdict"
)

// plan is what one transaction is going to write, and what the callers will be
// told once it has.
type plan struct {
	// base is the end of the log that the plan builds on.
	base head
	// end is the end of the log when the plan is written.
	end      head
	outcomes []outcome
	// streams are the states of streams when it is written: those that were
	// looked up, and those it touches.
	streams map[string]stream
	// events are the events to write, in order, without RecordedAt.
	events []eventstore.RecordedEvent

	positions, streamIDs, versions []int64
	ids                            []pgtype.UUID
	typeIDs, categoryIDs           []int32
	rests                          []int32
	flags                          []int16
	data, metadata                 [][]byte

	newStreamIDs        []int64
	newStreamNames      []string
	newStreamCategories []int32

	scopes, keys                   []string
	fingerprints, answers, results [][]byte
}

// newPlan makes a plan with room for all that the requests want to write.
func newPlan(f *facts, requests []*request) *plan {
	n := 0
	for _, r := range requests {
		n += r.events
	}
	return &plan{
		base: f.head, end: f.head, streams: f.streams,
		outcomes:  make([]outcome, len(requests)),
		events:    make([]eventstore.RecordedEvent, 0, n),
		positions: make([]int64, 0, n), streamIDs: make([]int64, 0, n), versions: make([]int64, 0, n),
		ids: make([]pgtype.UUID, 0, n), typeIDs: make([]int32, 0, n), categoryIDs: make([]int32, 0, n),
		rests: make([]int32, 0, n), flags: make([]int16, 0, n),
		data: make([][]byte, 0, n), metadata: make([][]byte, 0, n),
	}
}

func (p *plan) isEmpty() bool { return len(p.positions) == 0 && len(p.keys) == 0 }

// planner judges the requests of a batch one after the other. Each sees what
// the ones before it will write, and a refused one leaves nothing behind.
type planner struct {
	*plan
	facts       *facts
	refs        references
	incarnation incarnation
	receipts    map[receiptKey]eventstore.StoredReceipt
}

// makePlan judges requests by facts. It is pure but for fresh event ids.
func makePlan(f *facts, refs references, in incarnation, requests []*request) *plan {
	p := &planner{
		plan:        newPlan(f, requests),
		facts:       f,
		refs:        refs,
		incarnation: in,
		receipts:    make(map[receiptKey]eventstore.StoredReceipt),
	}
	for i, r := range requests {
		p.outcomes[i].appended, p.outcomes[i].err = p.judge(r)
	}
	return p.plan
}

func (p *planner) judge(r *request) ([]eventstore.Appended, error) {
	if r.receipt != nil {
		if err := p.judgeReceipt(r.receipt); err != nil {
			return nil, err
		}
	}
	begin := len(p.events)
	results, touched, own, err := p.judgeAppends(r)
	if err != nil {
		p.events = p.events[:begin]
		return nil, err
	}
	setTokens(results, p.incarnation)
	maps.Copy(p.facts.known, own)
	p.accept(r, touched, p.events[begin:], results)
	return results, nil
}

// judgeAppends adds what the request's appends write to the plan's events, and
// returns what becomes of the streams, and the ids that callers supplied.
func (p *planner) judgeAppends(r *request) (_ []eventstore.Appended, touched map[string]stream, own idIndex, _ error) {
	touched = make(map[string]stream, len(r.appends))
	own = make(idIndex)
	results := make([]eventstore.Appended, len(r.appends))
	for i, a := range r.appends {
		before := p.state(touched, a.Stream)
		v, err := verdict.Decide(before.Stream, a, func(ids []uuid.UUID) []eventstore.RecordedEvent {
			return append(p.facts.known.find(a.Stream, ids), own.find(a.Stream, ids)...)
		})
		switch {
		case err != nil:
			return nil, nil, nil, err
		case v.Duplicate != nil:
			results[i] = *v.Duplicate
		default:
			own.add(p.place(a, &before)...)
			touched[a.Stream] = before
			results[i] = eventstore.Appended{Stream: a.Stream, Version: before.Version}
			if len(a.Events) > 0 {
				results[i].Position = p.lastPosition()
			}
		}
	}
	return results, touched, own, verdict.Whole(r.appends, results)
}

// lastPosition is the end of the log with all the events that were placed.
func (p *planner) lastPosition() int64 { return p.base.position + int64(len(p.events)) }

func (p *planner) judgeReceipt(r *eventstore.Receipt) error {
	stored, ok := p.receipts[keyOf(r)]
	if !ok {
		stored, ok = p.facts.receipts[keyOf(r)]
	}
	if !ok {
		return nil
	}
	return receiptError(stored, r)
}

func receiptError(stored eventstore.StoredReceipt, r *eventstore.Receipt) error {
	if string(stored.Fingerprint) != string(r.Fingerprint) {
		return &eventstore.ReceiptMismatchError{Scope: r.Scope, Key: r.Key}
	}
	return &eventstore.ReceiptKnownError{Stored: stored}
}

// state is the state of a stream as the request at hand sees it.
func (p *planner) state(touched map[string]stream, name string) stream {
	if st, ok := touched[name]; ok {
		return st
	}
	if st, ok := p.streams[name]; ok {
		return st
	}
	return noStream
}

// place gives the events of one append their places and moves the stream's
// state behind them.
func (p *planner) place(a eventstore.StreamAppend, st *stream) []eventstore.RecordedEvent {
	begin := len(p.events)
	for _, e := range a.Events {
		position := p.lastPosition() + 1
		if st.id == 0 {
			st.id = position
		}
		if st.Deleted {
			// The stream begins a new life.
			st.FirstVersion, st.Deleted = st.Version+1, false
		}
		st.Version++
		if mark := markOf(e.Type); mark != 0 {
			st.Deleted, st.Tombstoned = true, mark == flagTombstone
			st.FirstVersion = st.Version + 1
		}
		p.events = append(p.events, eventstore.RecordedEvent{
			Event: withDefaults(e), Stream: a.Stream, Version: st.Version, Position: position})
	}
	return p.events[begin:]
}

func withDefaults(e eventstore.Event) eventstore.Event {
	e.SchemaVersion = verdict.SchemaVersion(e)
	if e.ContentType == "" {
		e.ContentType = eventstore.ContentTypeJSON
	}
	// nil would be NULL.
	if e.Data == nil {
		e.Data = []byte{}
	}
	if e.Metadata == nil {
		e.Metadata = []byte{}
	}
	return e
}

func markOf(eventType string) int16 {
	switch eventType {
	case eventstore.TypeDeleted:
		return flagDeleted
	case eventstore.TypeTombstone:
		return flagTombstone
	default:
		return 0
	}
}
