package pgstore

import (
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/57528e99/recount/eventstore"
)

// setTokens gives the results of one request their token: readers see all of it
// or nothing.
func setTokens(results []eventstore.Appended, in incarnation) {
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
	p.ids = append(p.ids, pgUUID(e.ID))
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

// pgUUID is id in a form of which pgx encodes slices too, however statements
// are executed.
func pgUUID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }
