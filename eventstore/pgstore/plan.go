package pgstore

import (
	"fmt"

	"github.com/google/uuid"

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
	ids                            []uuid.UUID
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

func (p *plan) isEmpty() bool { return len(p.positions) == 0 && len(p.keys) == 0 }

// planner judges the requests of a batch one after the other. Each sees what
// the ones before it will write, and a refused one leaves nothing behind.
type planner struct {
	*plan
	facts    *facts
	refs     references
	identity identity
	receipts map[receiptKey]eventstore.StoredReceipt
}

// makePlan judges requests by facts. It is pure but for fresh event ids.
func makePlan(f *facts, refs references, in identity, requests []*request) *plan {
	p := &planner{
		plan:     &plan{base: f.head, end: f.head, streams: f.streams},
		facts:    f,
		refs:     refs,
		identity: in,
		receipts: make(map[receiptKey]eventstore.StoredReceipt),
	}
	p.outcomes = make([]outcome, len(requests))
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
	touched := make(map[string]stream, len(r.appends))
	results := make([]eventstore.Appended, len(r.appends))
	fresh, repeated := 0, 0
	var written []eventstore.RecordedEvent
	for i, a := range r.appends {
		before := p.state(touched, a.Stream)
		v, err := verdict.Decide(before.Stream, a, func(ids []uuid.UUID) []eventstore.RecordedEvent {
			return p.known(a.Stream, ids, written)
		})
		switch {
		case err != nil:
			return nil, err
		case v.Duplicate != nil:
			repeated++
			results[i] = *v.Duplicate
			continue
		case len(a.Events) > 0:
			fresh++
		}
		written = append(written, p.place(a, &before, len(written))...)
		touched[a.Stream] = before
		results[i] = result(a, before, written)
	}
	if fresh > 0 && repeated > 0 {
		return nil, partlyKnown(r)
	}
	setTokens(results, p.identity)
	p.accept(r, touched, written, results)
	return results, nil
}

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

func partlyKnown(r *request) error {
	for _, a := range r.appends {
		if len(a.Events) > 0 {
			return &eventstore.IDReusedError{Stream: a.Stream, ID: a.Events[0].ID,
				Reason: "a part of this append is stored already, another part is not"}
		}
	}
	return nil
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

// known are the events of a stream that have one of the given ids: stored ones
// that were looked up, earlier ones of this batch, and those of the request
// itself.
func (p *planner) known(name string, ids []uuid.UUID, written []eventstore.RecordedEvent) []eventstore.RecordedEvent {
	wanted := make(map[uuid.UUID]bool, len(ids))
	for _, id := range ids {
		wanted[id] = true
	}
	var list []eventstore.RecordedEvent
	for _, events := range [][]eventstore.RecordedEvent{p.facts.known[name], p.events, written} {
		for _, e := range events {
			if e.Stream == name && wanted[e.ID] {
				list = append(list, e)
			}
		}
	}
	return list
}

// place gives the events of one append their places and moves the stream's
// state behind them. Offset is how many events of the request come before.
func (p *planner) place(a eventstore.StreamAppend, st *stream, offset int) []eventstore.RecordedEvent {
	placed := make([]eventstore.RecordedEvent, len(a.Events))
	for i, e := range a.Events {
		position := p.end.position + int64(offset+i) + 1
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
		placed[i] = eventstore.RecordedEvent{Event: withDefaults(e), Stream: a.Stream, Version: st.Version, Position: position}
	}
	return placed
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

func result(a eventstore.StreamAppend, st stream, written []eventstore.RecordedEvent) eventstore.Appended {
	result := eventstore.Appended{Stream: a.Stream, Version: st.Version}
	if len(a.Events) > 0 {
		result.Position = written[len(written)-1].Position
	}
	return result
}

// setTokens gives the results of one request their token: readers see all of it
// or nothing.
func setTokens(results []eventstore.Appended, in identity) {
	end := int64(0)
	for _, r := range results {
		end = max(end, r.Position)
	}
	for i := range results {
		if end > 0 {
			results[i].Token = in.token(end)
		}
	}
}

// accept adds a request that was judged to be written.
func (p *planner) accept(r *request, touched map[string]stream, written []eventstore.RecordedEvent, results []eventstore.Appended) {
	for i := range written {
		written[i].AppendEnd = written[len(written)-1].Position
		p.addEvent(&written[i], touched[written[i].Stream])
	}
	for name, st := range touched {
		p.streams[name] = st
	}
	if len(written) > 0 {
		last := written[len(written)-1]
		p.end = head{last.Position, last.ID}
		p.events = append(p.events, written...)
	}
	if r.receipt != nil {
		p.addReceipt(r.receipt, results)
	}
}

func (p *planner) addEvent(e *eventstore.RecordedEvent, st stream) {
	flags := markOf(e.Type)
	if e.ID == uuid.Nil {
		e.ID = newEventID()
	} else {
		flags |= flagSuppliedID
	}
	category := p.refs.categories[eventstore.Category(e.Stream)]
	if st.id == e.Position {
		p.newStreamIDs = append(p.newStreamIDs, st.id)
		p.newStreamNames = append(p.newStreamNames, e.Stream)
		p.newStreamCategories = append(p.newStreamCategories, category)
	}
	p.positions = append(p.positions, e.Position)
	p.streamIDs = append(p.streamIDs, st.id)
	p.versions = append(p.versions, e.Version)
	p.ids = append(p.ids, e.ID)
	p.typeIDs = append(p.typeIDs, p.refs.types[typeOf(e.Event)])
	p.categoryIDs = append(p.categoryIDs, category)
	p.rests = append(p.rests, int32(e.AppendEnd-e.Position))
	p.flags = append(p.flags, flags)
	p.data = append(p.data, e.Data)
	p.metadata = append(p.metadata, e.Metadata)
}

func (p *planner) addReceipt(r *eventstore.Receipt, results []eventstore.Appended) {
	p.receipts[keyOf(r)] = eventstore.StoredReceipt{Receipt: *r, Appended: results}
	p.scopes = append(p.scopes, r.Scope)
	p.keys = append(p.keys, r.Key)
	p.fingerprints = append(p.fingerprints, notNil(r.Fingerprint))
	p.answers = append(p.answers, notNil(r.Answer))
	p.results = append(p.results, formatResult(results))
}

func notNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// newEventID makes a UUID whose order follows time, so that the index entries
// of one moment lie together.
func newEventID() uuid.UUID {
	id, err := uuid.NewV7()
	if err != nil {
		// The random source of the operating system is gone; nothing can go on.
		panic(fmt.Errorf("make an event id: %w", err))
	}
	return id
}
