package logcheck_test

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// simulation is a store in the simplest words, at a time that it makes up. Each
// thing that is done to it happens at an instant between a start and an end of
// its own.
type simulation struct {
	draw     func(from, to int64, label string) int64
	now      int64
	position int64
	ids      uint64
	versions map[string]int64
	chains   map[string]logcheck.Chain
	evidence
}

func newSimulation(draw func(from, to int64, label string) int64) *simulation {
	return &simulation{draw: draw, versions: make(map[string]int64), chains: make(map[string]logcheck.Chain)}
}

// span returns the start and end of what happens now.
func (s *simulation) span() (start, end int64) {
	s.now += 2
	return s.now - s.draw(0, 20, "before"), s.now + s.draw(0, 20, "after")
}

// version returns that of a stream, -1 if there is none.
func (s *simulation) version(stream string) int64 {
	if v, ok := s.versions[stream]; ok {
		return v
	}
	return -1
}

func (s *simulation) append(stream string) {
	a := logcheck.Append{Client: "c", Op: int64(len(s.history.Appends)), Stream: stream, Outcome: logcheck.Acked}
	a.Start, a.End = s.span()
	version := s.version(stream)
	events := make([]eventstore.Event, s.draw(1, 3, "events"))
	for i := range events {
		s.ids++
		binary.BigEndian.PutUint64(events[i].ID[:], s.ids)
		events[i].Type = "Happened"
		a.IDs = append(a.IDs, events[i].ID)
	}
	a.Content = logcheck.ContentOf(events...)
	switch s.draw(0, 7, "expected") {
	case 0:
		a.Expected = logcheck.AnyVersion
	case 1:
		a.Expected, a.Outcome, a.Version = logcheck.Expected(version+1), logcheck.Conflicted, version
		s.history.Appends = append(s.history.Appends, a)
		return
	default:
		a.Expected = logcheck.Expected(version)
	}
	if s.draw(0, 9, "unknown") == 0 {
		a.Outcome = logcheck.Unknown
		if s.draw(0, 1, "lost") == 1 {
			s.history.Appends = append(s.history.Appends, a)
			return
		}
	}
	for i, e := range events {
		s.position++
		version++
		s.chains[stream] = s.chains[stream].Add(e.ID)
		s.events = append(s.events, eventstore.RecordedEvent{Event: e, Stream: stream, Version: version, Position: s.position,
			AppendEnd: s.position + int64(len(events)-1-i), RecordedAt: time.Unix(0, s.now*1000)})
	}
	s.versions[stream] = version
	if a.Outcome == logcheck.Acked {
		a.Version, a.Position = version, s.position
	}
	s.history.Appends = append(s.history.Appends, a)
}

func (s *simulation) read(stream string) {
	r := logcheck.Read{Client: "c", Op: int64(len(s.history.Reads)), Stream: stream, Version: s.version(stream), Chain: s.chains[stream]}
	r.Start, r.End = s.span()
	s.history.Reads = append(s.history.Reads, r)
}

// deliver lets a reader follow the log to its end, with restarts.
func (s *simulation) deliver() {
	from, session, kept := int64(1), 1, int64(1)
	b := eventstore.Batch{}
	for _, e := range s.events {
		if e.Position < from {
			continue
		}
		b.Events = append(b.Events, e)
		if e.Position != e.AppendEnd || e.Position < s.position && s.draw(0, 2, "page") > 0 {
			continue
		}
		b.Next = e.Position + 1
		s.history.Batches = append(s.history.Batches, logcheck.BatchOf("reader", session, from, b))
		from, b.Events = b.Next, nil
		if s.draw(0, 3, "keep") == 0 {
			kept = from
		}
	}
	if kept <= s.position {
		// It is started again where it was when it last kept its place.
		b = eventstore.Batch{Next: s.position + 1, Events: s.events[kept-1:]}
		s.history.Batches = append(s.history.Batches, logcheck.BatchOf("reader", session+1, kept, b))
	}
	s.options.Deliveries.Head = s.position
}

// simulate runs a simulation.
func simulate(draw func(from, to int64, label string) int64, steps int64, streams int64) *evidence {
	s := newSimulation(draw)
	for range steps {
		stream := fmt.Sprint("order-", draw(1, streams, "stream"))
		if draw(0, 2, "read") == 0 {
			s.read(stream)
		} else {
			s.append(stream)
		}
	}
	s.deliver()
	return &s.evidence
}

func drawer(t *rapid.T) func(from, to int64, label string) int64 {
	return func(from, to int64, label string) int64 { return rapid.Int64Range(from, to).Draw(t, label) }
}

func TestRandomValidHistoriesBreakNoRule(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := drawer(t)
		e := simulate(draw, draw(0, 60, "steps"), 3)
		logcheck.Test(t, e.check())
	})
}

// Porcupine, which searches, is the judge of who does not. Times are moved, so that
// about half of the histories are wrong.
func TestAnOrderIsFoundWhereASearchFindsOne(t *testing.T) {
	t.Parallel()
	right, wrong := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		draw := drawer(t)
		e := simulate(draw, draw(1, 14, "steps"), draw(1, 2, "streams"))
		if len(e.history.Reads) > 0 {
			r := &e.history.Reads[draw(0, int64(len(e.history.Reads)-1), "moved")]
			by := draw(-25, 25, "by")
			r.Start, r.End = r.Start+by, r.End+by
		}
		if len(e.history.Appends) > 0 {
			a := &e.history.Appends[draw(0, int64(len(e.history.Appends)-1), "moved")]
			by := draw(-15, 15, "by")
			a.Start, a.End = a.Start+by, a.End+by
		}
		found, ordered := logcheck.Linearizable(&e.history, e.log()), logcheck.Ordered(&e.history, e.log())
		if (len(found) == 0) != ordered {
			t.Fatalf("porcupine finds an order: %t, but it finds %v", ordered, found)
		}
		if ordered {
			right++
		} else {
			wrong++
		}
	})
	t.Logf("%d histories were right, %d wrong", right, wrong)
	if right == 0 || wrong == 0 {
		t.Errorf("%d histories were right and %d wrong, want some of each", right, wrong)
	}
}

// BenchmarkCheck judges as much as a long run of the chaos harness leaves.
func BenchmarkCheck(b *testing.B) {
	var seed uint64
	random := func(from, to int64, _ string) int64 {
		seed ^= seed << 13
		seed ^= seed >> 7
		seed ^= seed << 17
		return from + int64(seed%uint64(to-from+1))
	}
	for _, streams := range []int64{1, 5000} {
		seed = 1
		e := simulate(random, 500_000, streams)
		l := e.log()
		b.Run(fmt.Sprint(streams, " streams"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if found := logcheck.Check(&e.history, l, e.options); len(found) > 0 {
					b.Fatal(found)
				}
			}
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			b.ReportMetric(float64(len(e.events)), "events")
			b.ReportMetric(float64(m.Sys>>20), "MB-from-system")
		})
	}
}
