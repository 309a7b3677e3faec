package logcheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Checkpoint is how far a projection says it has come.
type Checkpoint struct {
	Projection string
	Position   int64
	// Counts picks the events that it counts. Zero: all.
	Counts eventstore.Filter
	// Events is how many events it has counted.
	Events int64
	// Digest is over them, in hexadecimal: the sum modulo 2^128 of the first 16
	// bytes of SHA-256 of each event's position (8 bytes, big-endian) and id.
	Digest string
}

// Checkpoints checks that each projection has counted every event up to its
// checkpoint once. The digest is computed here from its definition.
func Checkpoints(l *Log, checkpoints ...Checkpoint) []Violation {
	f := findings{rule: RuleCheckpoint}
	for _, c := range checkpoints {
		if c.Position > l.Head() {
			f.add("%s is at position %d, the log ends at %d", c.Projection, c.Position, l.Head())
			continue
		}
		var sum digest
		events := int64(0)
		for i := range l.events {
			e := &l.events[i]
			if e.position > c.Position {
				break
			}
			if c.Counts.Match(l.types[e.kind], l.streams[e.stream].name) {
				events++
				sum.add(e)
			}
		}
		if c.Events != events {
			f.add("%s has counted %d events up to position %d, the log has %d", c.Projection, c.Events, c.Position, events)
		} else if want := sum.String(); !strings.EqualFold(c.Digest, want) {
			f.add("%s has digest %s at position %d, the log's events have %s", c.Projection, c.Digest, c.Position, want)
		}
	}
	return f.list()
}

// digest is a number of 128 bits.
type digest struct{ high, low uint64 }

func (d *digest) add(e *entry) {
	var b [24]byte
	binary.BigEndian.PutUint64(b[:], uint64(e.position))
	copy(b[8:], e.id[:])
	sum := sha256.Sum256(b[:])
	var carry uint64
	d.low, carry = bits.Add64(d.low, binary.BigEndian.Uint64(sum[8:16]), 0)
	d.high, _ = bits.Add64(d.high, binary.BigEndian.Uint64(sum[:8]), carry)
}

func (d *digest) String() string {
	b := binary.BigEndian.AppendUint64(nil, d.high)
	return hex.EncodeToString(binary.BigEndian.AppendUint64(b, d.low))
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
