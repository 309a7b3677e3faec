package memstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/internal/verdict"
)

// Append implements eventstore.Appender.
func (s *Store) Append(ctx context.Context, a eventstore.StreamAppend, opts eventstore.AppendOptions) (eventstore.Appended, error) {
	results, err := s.AppendStreams(ctx, []eventstore.StreamAppend{a}, opts)
	if err != nil {
		return eventstore.Appended{}, err
	}
	return results[0], nil
}

// AppendStreams implements eventstore.MultiStreamAppender.
func (s *Store) AppendStreams(ctx context.Context, appends []eventstore.StreamAppend, opts eventstore.AppendOptions) ([]eventstore.Appended, error) {
	if err := s.limits.Validate(appends, opts); err != nil {
		return nil, err
	}
	return s.append(ctx, appends, opts.Receipt)
}

func (s *Store) append(ctx context.Context, appends []eventstore.StreamAppend, receipt *eventstore.Receipt) ([]eventstore.Appended, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := s.checkReceipt(receipt); err != nil {
		return nil, err
	}
	b := batch{store: s, states: make(map[string]verdict.Stream), at: s.recordedAt()}
	for _, a := range appends {
		if err := b.add(a); err != nil {
			return nil, err
		}
	}
	if err := verdict.Whole(appends, b.results); err != nil {
		return nil, err
	}
	s.commit(&b)
	s.keepReceipt(receipt, b.results, b.at)
	return b.results, nil
}

// recordedAt returns the time of the next append.
func (s *Store) recordedAt() time.Time {
	now := eventstore.Microseconds(s.now())
	if len(s.log) == 0 {
		return now
	}
	if last := s.log[len(s.log)-1].RecordedAt; now.Before(last) {
		return last
	}
	return now
}

// batch is what is written together. Nothing of it is in the store before
// commit, so an append that is refused leaves nothing to undo.
type batch struct {
	store   *Store
	at      time.Time
	states  map[string]verdict.Stream
	events  []eventstore.RecordedEvent
	results []eventstore.Appended
}

func (b *batch) add(a eventstore.StreamAppend) error {
	state := b.state(a.Stream)
	known := func(ids []uuid.UUID) []eventstore.RecordedEvent { return b.known(a.Stream, ids) }
	v, err := verdict.Decide(state, a, known)
	if err != nil {
		return err
	}
	if v.Duplicate != nil {
		b.results = append(b.results, *v.Duplicate)
		return nil
	}
	if err := b.checkUnique(a); err != nil {
		return err
	}
	for _, e := range a.Events {
		state = advance(state, e.Type)
		b.events = append(b.events, eventstore.RecordedEvent{
			Event: stored(e), Stream: a.Stream, Version: state.Version, Position: b.end(), RecordedAt: b.at,
		})
	}
	b.states[a.Stream] = state
	result := eventstore.Appended{Stream: a.Stream, Version: state.Version}
	if len(a.Events) > 0 {
		result.Position = b.end() - 1
	}
	b.results = append(b.results, result)
	return nil
}

// end returns the position that the batch's next event gets.
func (b *batch) end() int64 { return int64(len(b.store.log)+len(b.events)) + 1 }

func (b *batch) state(name string) verdict.Stream {
	if state, ok := b.states[name]; ok {
		return state
	}
	if st, ok := b.store.streams[name]; ok {
		return st.Stream
	}
	return verdict.Stream{Version: -1}
}

func (b *batch) known(name string, ids []uuid.UUID) []eventstore.RecordedEvent {
	var found []eventstore.RecordedEvent
	if st, ok := b.store.streams[name]; ok {
		for _, id := range ids {
			if position, ok := st.byID[id]; ok {
				found = append(found, b.store.log[position-1])
			}
		}
	}
	for _, e := range b.events {
		if e.Stream == name && slices.Contains(ids, e.ID) {
			found = append(found, e)
		}
	}
	return found
}

// checkUnique catches ids that are used again behind a version that is met,
// which the verdict leaves to the store.
func (b *batch) checkUnique(a eventstore.StreamAppend) error {
	if len(a.Events) == 0 || a.Events[0].ID == uuid.Nil {
		return nil
	}
	for _, e := range a.Events {
		if found := b.known(a.Stream, []uuid.UUID{e.ID}); len(found) > 0 {
			return &eventstore.IDReusedError{Stream: a.Stream, ID: e.ID, Reason: fmt.Sprintf("it is stored at version %d", found[0].Version)}
		}
	}
	return nil
}

// advance returns the state of a stream after one more event.
func advance(s verdict.Stream, eventType string) verdict.Stream {
	s.Version++
	s.Tombstoned = eventType == eventstore.TypeTombstone
	s.Deleted = s.Tombstoned || eventType == eventstore.TypeDeleted
	if s.Deleted {
		s.FirstVersion = s.Version + 1
	}
	return s
}

// stored returns e with its defaults applied and with bytes of its own.
func stored(e eventstore.Event) eventstore.Event {
	if e.ID == uuid.Nil {
		e.ID = uuid.New()
	}
	if e.ContentType == "" {
		e.ContentType = eventstore.ContentTypeJSON
	}
	e.SchemaVersion = verdict.SchemaVersion(e)
	return cloned(e)
}

func cloned(e eventstore.Event) eventstore.Event {
	e.Data, e.Metadata = slices.Clone(e.Data), slices.Clone(e.Metadata)
	return e
}

// commit puts the batch's events into the log and wakes the subscriptions.
func (s *Store) commit(b *batch) {
	end := b.end() - 1
	for _, e := range b.events {
		e.AppendEnd = end
		s.log = append(s.log, e)
		st, ok := s.streams[e.Stream]
		if !ok {
			st = &stream{byID: make(map[uuid.UUID]int64)}
			s.streams[e.Stream] = st
		}
		st.positions = append(st.positions, e.Position)
		st.byID[e.ID] = e.Position
		st.Stream = b.states[e.Stream]
	}
	for i, r := range b.results {
		// Behind the token a reader has seen the append whole, so a duplicate's
		// token is at the end of the first append.
		place := int64(len(s.log))
		if r.Position > 0 {
			place = s.log[r.Position-1].AppendEnd
		}
		b.results[i].Token = s.token(place)
	}
	if len(b.events) > 0 {
		close(s.grown)
		s.grown = make(chan struct{})
	}
}
