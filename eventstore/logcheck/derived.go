package logcheck

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Checkpoint is how far a projection says it has come.
type Checkpoint struct {
	Projection string
	Position   int64
	// Counts picks the events that it counts. Zero: all.
	Counts eventstore.Filter
	// Tally is of the events it has counted.
	eventstore.Tally
}

// Checkpoints checks that each projection has counted every event up to its
// checkpoint once.
func Checkpoints(l *Log, checkpoints ...Checkpoint) []Violation {
	f := findings{rule: RuleCheckpoint}
	for _, c := range checkpoints {
		if c.Position > l.Head() {
			f.add("%s is at position %d, the log ends at %d", c.Projection, c.Position, l.Head())
			continue
		}
		var want eventstore.Tally
		for i := range l.events {
			e := &l.events[i]
			if e.position > c.Position {
				break
			}
			if c.Counts.Match(l.types[e.kind], l.streams[e.stream].name) {
				want = want.Add(e.position, e.id)
			}
		}
		if c.Events != want.Events {
			f.add("%s has counted %d events up to position %d, the log has %d", c.Projection, c.Events, c.Position, want.Events)
		} else if c.Digest != want.Digest {
			f.add("%s has digest %s at position %d, the log's events have %s", c.Projection, c.Digest, c.Position, want.Digest)
		}
	}
	return f.list()
}

// Rows checks the rows of a projection against those that a fold of the log makes,
// by key. Both must be written in the same canonical way.
func Rows(projection string, want, got map[string][]byte) []Violation {
	f := findings{rule: RuleRows}
	keys := slices.AppendSeq(slices.Collect(maps.Keys(want)), maps.Keys(got))
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		w, wanted := want[key]
		g, there := got[key]
		switch {
		case !there:
			f.add("%s has no row %q, want %.500s", projection, key, w)
		case !wanted:
			f.add("%s has a row %q that should not be: %.500s", projection, key, g)
		case !bytes.Equal(w, g):
			f.add("%s has row %q as\n\t%.500s, want\n\t%.500s", projection, key, g, w)
		}
	}
	return f.list()
}

// Recovery is what happened after a fault was over.
type Recovery struct {
	// Over is when PostgreSQL took connections again and nothing was in the way.
	Over time.Time
	// Appended is when a fresh append was acknowledged; zero: it was not.
	Appended time.Time
	// AtHead is when each reader and projection had come to the head that the log
	// had at Over; zero: it had not.
	AtHead map[string]time.Time
}

// Converged checks that a fresh append was acknowledged, and everybody at the
// head, in good time after a fault.
func Converged(r Recovery, appendWithin, headWithin time.Duration) []Violation {
	f := findings{rule: RuleConverged}
	check := func(what string, at time.Time, within time.Duration) {
		if at.IsZero() {
			f.add("%s: not seen after the fault", what)
		} else if took := at.Sub(r.Over); took > within {
			f.add("%s: %s after the fault, want at most %s", what, took.Round(time.Millisecond), within)
		}
	}
	check("a fresh append is acknowledged", r.Appended, appendWithin)
	for _, name := range slices.Sorted(maps.Keys(r.AtHead)) {
		check(name+" is at the head", r.AtHead[name], headWithin)
	}
	return f.list()
}

// Leaks compares counts of what must not grow, such as goroutines, or
// connections by application name and state, before and after.
func Leaks(before, after map[string]int) []Violation {
	f := findings{rule: RuleLeaks}
	for _, name := range slices.Sorted(maps.Keys(after)) {
		if after[name] > before[name] {
			f.add("%s: %d, there were %d before", name, after[name], before[name])
		}
	}
	return f.list()
}
