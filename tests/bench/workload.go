package bench

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"

	"github.com/57528e99/recount/eventstore"
)

// The streams that appends go to.
const (
	StreamsNew      = "new"      // every append to a stream of its own
	StreamsExisting = "existing" // to one of many, at the version that it has
	StreamsHot      = "hot"      // all to the same one, whatever its version
)

const (
	// existingStreams is how many streams there are to begin with.
	existingStreams = 10_000
	payloadBytes    = 200
	eventType       = "Happened"
)

// payload is the data of every event: JSON, and as hard to compress as such data is.
var payload = newPayload(payloadBytes)

func newPayload(size int) []byte {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	rng := rand.New(rand.NewPCG(1, 2))
	b := []byte(`{"text":"`)
	for len(b) < size-2 {
		b = append(b, letters[rng.IntN(len(letters))])
	}
	return append(b, `"}`...)
}

// streams hands out where appends go. Each contender has its own.
type streams struct {
	kind    string
	callers int
	last    atomic.Int64
	// versions are those of existing streams; stream n belongs to caller n % callers.
	versions []int64
}

func newStreams(kind string, callers int) *streams {
	s := &streams{kind: kind, callers: callers}
	if kind == StreamsExisting {
		s.versions = make([]int64, existingStreams)
	}
	return s
}

// hotStream and the numbers of existing streams, from 1 to existingStreams, are below those of new
// streams.
const hotStream = 1

// next returns the number of the stream that a caller appends to, and the version that its first
// new event gets: -1 if that is not for the caller to know.
func (s *streams) next(caller, events int) (stream, version int64) {
	switch s.kind {
	case StreamsHot:
		return hotStream, -1
	case StreamsExisting:
		own := existingStreams / s.callers
		n := rand.IntN(own)*s.callers + caller
		s.versions[n] += int64(events)
		return int64(n) + 1, s.versions[n] - int64(events) + 1
	}
	return existingStreams + s.last.Add(1), 0
}

func streamName(stream int64) string { return fmt.Sprintf("bench-%d", stream) }

// expected is the demand of an append whose first event is to get a version.
func expected(version int64) eventstore.ExpectedVersion {
	switch version {
	case -1:
		return eventstore.Any
	case 0:
		return eventstore.NoStream
	}
	return eventstore.Exact(version - 1)
}

func newEvents(n int) []eventstore.Event {
	events := make([]eventstore.Event, n)
	for i := range events {
		events[i] = eventstore.Event{Type: eventType, Data: payload}
	}
	return events
}
