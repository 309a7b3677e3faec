package storetest

import (
	"fmt"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
)

var modelClauses = []clause{
	{"behaves like a list of events, whatever is done to it", always, behavesLikeList},
}

// behavesLikeList runs random calls against the store and against a list, and
// compares the answers. It finds the combinations that nobody wrote a clause
// for.
func behavesLikeList(f *fixture) {
	rapid.Check(f.T, func(t *rapid.T) {
		m := &model{
			fixture: &fixture{T: t, Store: f.Store, Recorder: f.Recorder},
			start:   f.head(),
			prefix:  uuid.NewString(),
			streams: make(map[string]*modelStream),
			answers: make(map[string]eventstore.Appended),
		}
		actions := map[string]func(*rapid.T){
			"append": m.append, "retry": m.retry,
			"read stream": m.readStream, "read log": m.readLog, "subscribe": m.follow,
		}
		if f.Features().StreamManagement {
			actions["delete"], actions["set metadata"] = m.delete, m.setMetadata
		}
		if f.Features().MultiStreamAppend {
			actions["append to several"] = m.appendSeveral
		}
		if f.Features().Receipts {
			actions["append with a receipt"] = m.appendOnce
		}
		t.Repeat(actions)
	})
}

// model is what a store is, in the simplest words. The log of one store serves
// all runs, so a model has stream names of its own and begins at the head that
// it finds.
type model struct {
	*fixture
	start   eventstore.Token
	prefix  string
	log     []eventstore.RecordedEvent
	streams map[string]*modelStream
	done    []modelAppend
	answers map[string]eventstore.Appended // by the key of their receipt
}

type modelStream struct {
	version  int64
	deleted  bool
	life     []eventstore.RecordedEvent
	metadata eventstore.StreamMetadata
}

type modelAppend struct {
	eventstore.StreamAppend
	result eventstore.Appended
}

func (m *model) pick(t *rapid.T) (string, *modelStream) {
	name := m.prefix + rapid.SampledFrom([]string{"-1", "-2", "x-1"}).Draw(t, "stream")
	if m.streams[name] == nil {
		m.streams[name] = &modelStream{version: -1}
	}
	return name, m.streams[name]
}

// drawAppend draws an append to a stream.
func (m *model) drawAppend(t *rapid.T, name string, s modelStream) eventstore.StreamAppend {
	expected := rapid.SampledFrom([]eventstore.ExpectedVersion{
		eventstore.Any, eventstore.NoStream, eventstore.StreamExists,
		eventstore.Exact(s.version), eventstore.Exact(max(s.version-1, -1)), eventstore.Exact(s.version + 1),
	}).Draw(t, "expected")
	list := make([]eventstore.Event, rapid.IntRange(1, 3).Draw(t, "events"))
	for i := range list {
		list[i] = event(fmt.Sprint(len(m.log) + i))
		list[i].Type = rapid.SampledFrom([]string{"Placed", "Shipped"}).Draw(t, "type")
	}
	return streamAppend(name, expected, list...)
}

func (m *model) append(t *rapid.T) {
	name, s := m.pick(t)
	a := m.drawAppend(t, name, *s)
	if want := s.refusal(a.Expected); want != nil {
		m.refused("append", want, func() error { _, err := m.tryAppend(name, a.Expected, a.Events...); return err })
		return
	}
	m.wrote(a, m.fixture.append(name, a.Expected, a.Events...))
}

// wrote takes an append over that the store has accepted.
func (m *model) wrote(a eventstore.StreamAppend, done eventstore.Appended) {
	s := m.streams[a.Stream]
	s.deleted = false
	for _, e := range a.Events {
		s.version++
		r := eventstore.RecordedEvent{Event: e, Stream: a.Stream, Version: s.version}
		m.log, s.life = append(m.log, r), append(s.life, r)
	}
	if done.Version != s.version || done.Duplicate {
		m.Fatalf("append = %+v, want version %d and no duplicate", done, s.version)
	}
	m.done = append(m.done, modelAppend{a, done})
}

func (s *modelStream) refusal(expected eventstore.ExpectedVersion) error {
	exists := s.version >= 0 && !s.deleted
	version, exact := expected.Exact()
	switch {
	case expected == eventstore.StreamExists && s.deleted:
		return eventstore.ErrStreamDeleted
	case expected == eventstore.StreamExists && !exists, expected == eventstore.NoStream && exists, exact && version != s.version:
		return eventstore.ErrConflict
	default:
		return nil
	}
}

func (m *model) retry(t *rapid.T) {
	if len(m.done) == 0 {
		t.Skip("nothing to retry")
	}
	a := rapid.SampledFrom(m.done).Draw(t, "append")
	if a.Expected == eventstore.NoStream {
		t.Skip("deletions make the answer depend on the life of the stream")
	}
	m.repeats(a.result, a.StreamAppend)
}

func (m *model) delete(t *rapid.T) {
	name, s := m.pick(t)
	if s.version < 0 || s.deleted {
		t.Skip("nothing to delete")
	}
	s.version = m.fixture.delete(name, eventstore.Exact(s.version)).Version
	s.deleted, s.life = true, nil
}

func (m *model) setMetadata(t *rapid.T) {
	name, s := m.pick(t)
	s.metadata = eventstore.StreamMetadata{
		MaxCount:       rapid.Int64Range(0, 4).Draw(t, "max count"),
		TruncateBefore: rapid.Int64Range(0, s.version+2).Draw(t, "truncate before"),
	}
	m.fixture.setMetadata(name, s.metadata)
}

// shown is what the metadata leaves of the stream's present life.
func (s *modelStream) shown() []eventstore.RecordedEvent {
	var list []eventstore.RecordedEvent
	for _, e := range s.life {
		if m := s.metadata; e.Version >= m.TruncateBefore && (m.MaxCount == 0 || e.Version > s.version-m.MaxCount) {
			list = append(list, e)
		}
	}
	return list
}

func (m *model) readStream(t *rapid.T) {
	name, s := m.pick(t)
	opts := eventstore.ReadOptions{
		From:      rapid.SampledFrom([]int64{0, 1, s.version, s.version + 1, eventstore.End}).Draw(t, "from"),
		Backwards: rapid.Bool().Draw(t, "backwards"),
		Limit:     rapid.Int64Range(0, 4).Draw(t, "limit"),
		PageSize:  rapid.IntRange(0, 3).Draw(t, "page size"),
		PageBytes: rapid.IntRange(0, 60).Draw(t, "page bytes"),
	}
	if s.version < 0 || s.deleted {
		_, err := collect(m.ReadStream(m.Context(), name, opts))
		m.wantErr("read stream", err, eventstore.ErrStreamNotFound)
		return
	}
	at := func(e eventstore.RecordedEvent) int64 { return e.Version }
	m.wantSame(m.stream(name, opts), piece(s.shown(), at, opts))
}

// picked draws a filter and returns it with the events of the log that it picks.
func (m *model) picked(t *rapid.T) (eventstore.Filter, []eventstore.RecordedEvent) {
	filter := eventstore.Filter{
		Types:          rapid.SampledFrom([][]string{{"Placed", "Shipped"}, {"Placed"}, {"Shipped"}}).Draw(t, "types"),
		StreamPrefixes: rapid.SampledFrom([][]string{{m.prefix}, {m.prefix + "-"}, {m.prefix + "x", m.prefix + "-2"}}).Draw(t, "prefixes"),
	}
	var list []eventstore.RecordedEvent
	for _, e := range m.log {
		if filter.Match(e.Type, e.Stream) {
			list = append(list, e)
		}
	}
	return filter, list
}

func (m *model) readLog(t *rapid.T) {
	filter, list := m.picked(t)
	if len(list) == 0 {
		t.Skip("backwards, a limit must keep the read from going behind the start")
	}
	opts := eventstore.ReadOptions{
		Filter:   filter,
		Limit:    rapid.Int64Range(1, int64(len(list))).Draw(t, "limit"),
		PageSize: rapid.IntRange(0, 3).Draw(t, "page size"), PageBytes: rapid.IntRange(0, 60).Draw(t, "page bytes"),
	}
	if opts.Backwards = rapid.Bool().Draw(t, "backwards"); opts.Backwards {
		opts.From = eventstore.End
	} else {
		opts.After = m.start
	}
	everywhere := func(eventstore.RecordedEvent) int64 { return opts.From }
	m.wantSame(m.all(opts), piece(list, everywhere, opts))
}

func (m *model) follow(t *rapid.T) {
	filter, list := m.picked(t)
	if len(list) == 0 {
		t.Skip("nothing to wait for")
	}
	opts := eventstore.ReadOptions{After: m.start, Filter: filter, PageSize: rapid.IntRange(0, 3).Draw(t, "page size"),
		PageBytes: rapid.IntRange(0, 60).Draw(t, "page bytes")}
	m.wantSame(m.fixture.follow(opts, len(list)), list)
}

// wantSame compares what the model knows of events: all but their positions and
// times.
func (m *model) wantSame(got, want []eventstore.RecordedEvent) {
	m.Helper()
	m.wantLabels("the read", got, labels(want)...)
	for i, e := range want {
		if r := got[i]; r.ID != e.ID || r.Type != e.Type || r.Stream != e.Stream || r.Version != e.Version {
			m.Fatalf("event %d is %+v, want %+v", i, r, e)
		}
	}
}
