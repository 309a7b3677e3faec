package work

import (
	"fmt"
	"math/rand/v2"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore/logcheck"
)

const (
	// hotStreams is how many streams all writers share.
	hotStreams = 4
	// longest is the version from which on a shared stream is left for another.
	longest = 800
)

// choose makes an append up: to one stream, or to some at once.
func (w *writer) choose(rng *rand.Rand) []logcheck.Append {
	size := 40 + rng.IntN(61)
	if rng.IntN(5) == 0 {
		size = 1 + rng.IntN(5)
	}
	supplied := rng.IntN(2) == 0
	var parts []logcheck.Append
	switch rng.IntN(10) {
	case 0: // several streams; the first is one that others write to
		parts = []logcheck.Append{w.hot(rng), w.cold(rng), w.cold(rng)}
		together := 1 + rng.Int64()>>1
		for i := range parts {
			parts[i].Together = together
			parts[i].IDs = ids(rng, 1+size/3, supplied)
		}
	case 1, 2, 3:
		parts = []logcheck.Append{w.hot(rng)}
		parts[0].IDs = ids(rng, 1+size/10, supplied)
	case 4, 5:
		parts = []logcheck.Append{w.own(rng)}
		parts[0].IDs = ids(rng, size, supplied)
	default:
		parts = []logcheck.Append{w.cold(rng)}
		parts[0].IDs = ids(rng, size, supplied)
	}
	receipt := ""
	if rng.IntN(6) == 0 {
		receipt = fmt.Sprintf("%s/%s", w.spec.Name, uuid.UUID(newID(rng, false)))
	}
	for i := range parts {
		parts[i].Client = w.spec.Name
		parts[i].Receipt = receipt
		parts[i].Content = logcheck.ContentOf(eventsOf(parts[i].IDs)...)
	}
	return parts
}

// hot chooses a stream that all writers append to at once, and any demand.
func (w *writer) hot(rng *rand.Rand) logcheck.Append {
	name := rng.IntN(hotStreams)
	w.mu.Lock()
	defer w.mu.Unlock()
	stream := fmt.Sprintf("hot-%d-%d", name, w.epochs[name])
	return logcheck.Append{Stream: stream, Expected: w.demand(rng, stream)}
}

// demand chooses what to expect of a stream. It needs the lock.
func (w *writer) demand(rng *rand.Rand, stream string) logcheck.Expected {
	version, known := w.versions[stream]
	switch n := rng.IntN(8); {
	case n < 2:
		return logcheck.AnyVersion
	case n == 2:
		return logcheck.StreamExists
	case !known:
		return logcheck.NoStream
	default:
		return logcheck.Expected(version)
	}
}

// own chooses a stream that only this writer appends to.
func (w *writer) own(rng *rand.Rand) logcheck.Append {
	w.mu.Lock()
	defer w.mu.Unlock()
	stream := fmt.Sprintf("own-%s-%d", w.spec.Name, rng.IntN(200))
	return logcheck.Append{Stream: stream, Expected: w.demand(rng, stream)}
}

// cold makes a stream up that is written once.
func (w *writer) cold(rng *rand.Rand) logcheck.Append {
	expected := logcheck.NoStream
	if rng.IntN(2) == 0 {
		expected = logcheck.AnyVersion
	}
	return logcheck.Append{Stream: "cold-" + newID(rng, false).String(), Expected: expected}
}

// remember learns what the process before knew.
func (w *writer) remember(past logcheck.History) {
	for i := range past.Appends {
		if a := &past.Appends[i]; a.Outcome == logcheck.Acked || a.Outcome == logcheck.Conflicted {
			w.learn(a.Stream, a.Version)
		}
	}
}

// unsettled returns the appends of which the process before did not learn the
// outcome, and that can be repeated.
func unsettled(past logcheck.History) (open [][]logcheck.Append) {
	settled := make(map[uuid.UUID]bool)
	for i := range past.Appends {
		if a := &past.Appends[i]; a.Outcome != logcheck.Unknown {
			settled[a.IDs[0]] = true
		}
	}
	groups := make(map[int64]int)
	for i := range past.Appends {
		a := past.Appends[i]
		if a.Outcome != logcheck.Unknown || settled[a.IDs[0]] || !repeatable(a) {
			continue
		}
		settled[a.IDs[0]] = true
		if place, ok := groups[a.Together]; ok && a.Together != 0 {
			open[place] = append(open[place], a)
			continue
		}
		groups[a.Together] = len(open)
		open = append(open, []logcheck.Append{a})
	}
	return open
}
