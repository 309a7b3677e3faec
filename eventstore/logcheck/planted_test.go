package logcheck_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck"
)

// evidence is what a small test has seen.
type evidence struct {
	events   []eventstore.RecordedEvent
	restores []logcheck.Restore
	history  logcheck.History
	options  logcheck.Options
}

func (e *evidence) log() *logcheck.Log {
	l := logcheck.NewLog(nil)
	l.Restores = e.restores
	for _, r := range e.events {
		l.Add(r)
	}
	return l
}

func (e *evidence) check() []logcheck.Violation {
	return logcheck.Check(&e.history, e.log(), e.options)
}

// id returns the id of an event of the test.
func id(n int) uuid.UUID { return uuid.UUID{15: byte(n)} }

// stored returns an event of the log.
func stored(position int64, stream string, version int64, n int, appendEnd int64) eventstore.RecordedEvent {
	return eventstore.RecordedEvent{
		Event:  eventstore.Event{ID: id(n), Type: "Happened", Data: []byte{byte(n)}},
		Stream: stream, Version: version, Position: position, AppendEnd: appendEnd,
		RecordedAt: time.UnixMicro(1_000_000 + position),
	}
}

// valid returns evidence that no rule objects to. Two clients append to two
// streams; one append conflicts, one has an unknown outcome and is retried, one
// goes to both streams; a reader follows and is started again.
func valid() *evidence {
	e := &evidence{events: []eventstore.RecordedEvent{
		stored(1, "a-1", 0, 1, 2), stored(2, "a-1", 1, 2, 2),
		stored(3, "a-2", 0, 3, 3),
		stored(4, "a-1", 2, 4, 4),
		stored(5, "a-1", 3, 5, 6), stored(6, "a-2", 1, 6, 6),
		stored(7, "a-2", 2, 7, 7),
	}}
	content := logcheck.ContentOf(e.events[0].Event, e.events[1].Event)
	e.history.Appends = []logcheck.Append{
		{Client: "x", Op: 1, Stream: "a-1", Expected: logcheck.NoStream, IDs: []uuid.UUID{id(1), id(2)}, Content: content,
			Start: 10, End: 20, Outcome: logcheck.Acked, Version: 1, Position: 2, Incarnation: 1},
		{Client: "y", Op: 2, Stream: "a-2", Expected: logcheck.AnyVersion, IDs: []uuid.UUID{id(3)}, Receipt: "r",
			Start: 10, End: 30, Outcome: logcheck.Acked, Version: 0, Position: 3, Incarnation: 1},
		{Client: "x", Op: 3, Stream: "a-1", Expected: 1, IDs: []uuid.UUID{id(4)},
			Start: 30, End: 40, Outcome: logcheck.Acked, Version: 2, Position: 4, Incarnation: 1},
		{Client: "y", Op: 4, Stream: "a-1", Expected: 1, IDs: []uuid.UUID{id(40)},
			Start: 35, End: 45, Outcome: logcheck.Conflicted, Version: 2},
		{Client: "x", Op: 5, Together: 1, Stream: "a-1", Expected: 2, IDs: []uuid.UUID{id(5)},
			Start: 50, End: 60, Outcome: logcheck.Acked, Version: 3, Position: 5, Incarnation: 1},
		{Client: "x", Op: 6, Together: 1, Stream: "a-2", Expected: logcheck.StreamExists, IDs: []uuid.UUID{id(6)},
			Start: 50, End: 60, Outcome: logcheck.Acked, Version: 1, Position: 6, Incarnation: 1},
		{Client: "y", Op: 7, Stream: "a-2", Expected: 1, IDs: []uuid.UUID{id(7)}, Receipt: "s",
			Start: 65, End: 70, Outcome: logcheck.Unknown},
		{Client: "y", Op: 8, Stream: "a-2", Expected: 1, IDs: []uuid.UUID{id(7)}, Receipt: "s",
			Start: 75, End: 80, Outcome: logcheck.Acked, Version: 2, Position: 7, Incarnation: 1},
		{Client: "y", Op: 9, Stream: "a-2", Expected: 0, IDs: []uuid.UUID{id(41)}, Start: 85, End: 90, Outcome: logcheck.Refused},
	}
	e.history.Reads = []logcheck.Read{
		{Client: "x", Op: 10, Stream: "a-1", Version: -1, Start: 1, End: 2},
		{Client: "x", Op: 11, Stream: "a-1", Version: 1, Chain: chain(1, 2), Start: 21, End: 32},
		{Client: "x", Op: 12, Stream: "a-1", From: 1, Version: 3, Chain: chain(2, 4, 5), Start: 61, End: 62},
	}
	e.history.Batches = []logcheck.Batch{
		batch(1, 1, 4, 1, 2, 3), batch(1, 4, 5, 4), batch(2, 4, 7, 4, 5, 6), batch(2, 7, 8, 7),
	}
	e.options.Deliveries.Head = 7
	return e
}

func chain(ids ...int) (c logcheck.Chain) {
	for _, n := range ids {
		c = c.Add(id(n))
	}
	return c
}

// batch returns what the reader was given, from events whose ids are their
// positions.
func batch(session int, from, next int64, positions ...int) logcheck.Batch {
	b := eventstore.Batch{Next: next, Head: eventstore.Token{Incarnation: 1}}
	for _, p := range positions {
		b.Events = append(b.Events, stored(int64(p), "", 0, p, 0))
	}
	return logcheck.BatchOf("reader", session, from, b)
}

func TestValidEvidenceBreaksNoRule(t *testing.T) {
	t.Parallel()
	logcheck.Test(t, valid().check())
}

// faults are the smallest changes that make evidence of a fault, each with the
// rule that must object.
var faults = []struct {
	name  string
	rule  logcheck.Rule
	plant func(e *evidence)
}{
	{"a position is skipped", logcheck.RuleGapless, func(e *evidence) { e.events[6].Position, e.events[6].AppendEnd = 8, 8 }},
	{"the log begins at 2", logcheck.RuleGapless, func(e *evidence) { e.events = e.events[1:] }},
	{"a position is there twice", logcheck.RuleGapless, func(e *evidence) { e.events[6].Position = 6 }},
	{"a version is skipped", logcheck.RuleVersions, func(e *evidence) { e.events[3].Version = 3 }},
	{"a version is there twice", logcheck.RuleVersions, func(e *evidence) { e.events[3].Version = 1 }},
	{"versions are out of order", logcheck.RuleVersions, func(e *evidence) { e.events[0].Version, e.events[1].Version = 1, 0 }},
	{"the clock ran backwards", logcheck.RuleTimes, func(e *evidence) { e.events[4].RecordedAt = time.UnixMicro(1) }},
	{"half of an append is missing", logcheck.RuleAppends, func(e *evidence) { e.events[5].AppendEnd = 7 }},
	{"the last append is cut off", logcheck.RuleAppends, func(e *evidence) { e.events = e.events[:5] }},
	{"an append ends before it begins", logcheck.RuleAppends, func(e *evidence) { e.events[6].AppendEnd = 6 }},
	{"an id is stored twice", logcheck.RuleIDsOnce, func(e *evidence) { e.events[6].ID = id(3) }},

	{"an acknowledged append is lost", logcheck.RuleAcked, func(e *evidence) { e.events = e.events[:6] }},
	{"an acknowledged append is elsewhere", logcheck.RuleAcked, func(e *evidence) { e.history.Appends[2].Position = 3 }},
	{"an acknowledged append has another version", logcheck.RuleAcked, func(e *evidence) { e.history.Appends[2].Version = 1 }},
	{"an append without ids is lost", logcheck.RuleAcked, func(e *evidence) { a := &e.history.Appends[7]; a.IDs, a.Position = nil, 9 }},
	{"what is stored is not what was sent", logcheck.RuleAcked, func(e *evidence) { e.events[1].Data = []byte("else") }},
	{"a restore excuses only what is behind it", logcheck.RuleAcked, func(e *evidence) {
		e.restores = []logcheck.Restore{{Incarnation: 2, LastCommon: 7}}
		e.events = e.events[:6]
	}},
	{"a restore excuses only the lives before it", logcheck.RuleAcked, func(e *evidence) {
		e.restores = []logcheck.Restore{{Incarnation: 1, LastCommon: 3}}
		e.events = e.events[:6]
	}},
	{"an event comes from nowhere", logcheck.RuleUnsent, func(e *evidence) { e.events[3].ID = id(99) }},
	{"a conflict is stored", logcheck.RuleRefused, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Stream, a.IDs = "a-2", []uuid.UUID{id(8)}
		e.append(8)
	}},
	{"a refused append is stored", logcheck.RuleRefused, func(e *evidence) { e.history.Appends[8].IDs = []uuid.UUID{id(8)}; e.append(8) }},
	{"an append ends with a strange error", logcheck.RuleErrors, func(e *evidence) { e.history.Appends[6].Strange = "duplicate key" }},
	{"a retry is refused for its own ids", logcheck.RuleErrors, func(e *evidence) {
		a := e.history.Appends[0]
		a.Op, a.Start, a.End, a.Outcome, a.Reused = 30, 21, 22, logcheck.Refused, true
		e.history.Appends = append(e.history.Appends, a)
	}},
	{"two win one version", logcheck.RuleOneWinner, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Outcome, a.Version, a.Position = logcheck.Acked, 2, 4
	}},
	{"a winner is told another version", logcheck.RuleOneWinner, func(e *evidence) { e.history.Appends[2].Version = 3 }},
	{"a conflict with the version demanded", logcheck.RuleOneWinner, func(e *evidence) { e.history.Appends[3].Version = 1 }},
	{"a retry is answered otherwise", logcheck.RuleAcked, func(e *evidence) { a := &e.history.Appends[6]; a.Outcome, a.Version = logcheck.Acked, 3 }},
	{"a retry is stored again", logcheck.RuleRetries, func(e *evidence) {
		e.history.Appends[6].IDs, e.history.Appends[6].Expected = []uuid.UUID{id(8)}, logcheck.AnyVersion
		e.append(8)
	}},
	{"a receipt has two answers", logcheck.RuleRetries, func(e *evidence) { e.history.Appends[1].Receipt = "s" }},
	{"of two streams one is written", logcheck.RuleTogether, func(e *evidence) { e.events[5].ID = id(50) }},
	{"two streams are written one after the other", logcheck.RuleTogether, func(e *evidence) { e.events[4].AppendEnd = 5 }},
	{"a read shows what is not there", logcheck.RuleReads, func(e *evidence) { e.history.Reads[2].Version = 4 }},
	{"a read shows a stream that is not there", logcheck.RuleReads, func(e *evidence) { e.history.Reads[2].Stream = "a-9" }},
	{"a read shows other events", logcheck.RuleReads, func(e *evidence) { e.history.Reads[1].Chain = chain(1, 3) }},
	{"a read leaves an event out", logcheck.RuleReads, func(e *evidence) { e.history.Reads[2].Chain = chain(2, 5) }},

	{"a read is stale", logcheck.RuleLinearizable, func(e *evidence) { r := &e.history.Reads[1]; r.Start, r.End = 41, 42 }},
	{"a read is early", logcheck.RuleLinearizable, func(e *evidence) { e.history.Reads[1].Start, e.history.Reads[1].End = 8, 9 }},
	{"a stream is not found when it is there", logcheck.RuleLinearizable, func(e *evidence) { e.history.Reads[0].Start, e.history.Reads[0].End = 21, 22 }},
	{"a conflict is with a version of the past", logcheck.RuleLinearizable, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Expected, a.Version, a.Start, a.End = 0, 1, 61, 62
	}},
	{"a conflict is with a version of the future", logcheck.RuleLinearizable, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Version, a.Start, a.End = 3, 41, 45
	}},
	{"a demand that was not met is accepted", logcheck.RuleLinearizable, func(e *evidence) { e.history.Appends[5].Expected = logcheck.NoStream }},
	{"a demand that was met is refused", logcheck.RuleLinearizable, func(e *evidence) { e.history.Appends[3].Expected = logcheck.AnyVersion }},
	{"an append is acknowledged before it begins", logcheck.RuleLinearizable, func(e *evidence) {
		e.history.Appends[6].Start, e.history.Appends[7].Start, e.history.Appends[7].End = 5, 5, 6
	}},
	{"appends are stored in another order than they were made", logcheck.RuleLinearizable, func(e *evidence) {
		e.history.Appends[4].Start, e.history.Appends[4].End = 22, 25
	}},
	{"two appends have one version", logcheck.RuleLinearizable, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Outcome, a.Version, a.Position = logcheck.Acked, 2, 4
	}},

	{"two events are swapped", logcheck.RuleOrdered, func(e *evidence) {
		e.history.Batches[0] = batch(1, 1, 4, 1, 3, 2)
	}},
	{"a batch goes beyond its own end", logcheck.RuleOrdered, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 7, 7) }},
	{"an event is delivered twice", logcheck.RuleUnique, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 8, 6, 7) }},
	{"an event is skipped", logcheck.RuleComplete, func(e *evidence) { e.history.Batches[0] = batch(1, 1, 4, 1, 3) }},
	{"the last event of a batch is skipped", logcheck.RuleComplete, func(e *evidence) { e.history.Batches[0] = batch(1, 1, 4, 1, 2) }},
	{"all events of a batch are skipped", logcheck.RuleComplete, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 8) }},
	{"the end is never delivered", logcheck.RuleComplete, func(e *evidence) { e.history.Batches = e.history.Batches[:3] }},
	{"what is not there is delivered", logcheck.RuleComplete, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 9, 7, 8) }},
	{"an event that the filter does not pick is delivered", logcheck.RuleComplete, func(e *evidence) {
		e.options.Deliveries.Filters = map[string]eventstore.Filter{"reader": {StreamPrefixes: []string{"a-1"}}}
	}},
	{"another event is delivered", logcheck.RuleContent, func(e *evidence) { e.history.Batches[1].Chain = chain(5) }},
	{"an append is split", logcheck.RuleAtomic, func(e *evidence) {
		e.history.Batches = []logcheck.Batch{batch(1, 1, 2, 1), batch(1, 2, 8, 2, 3, 4, 5, 6, 7)}
	}},
	{"a reader goes on too far", logcheck.RuleResumable, func(e *evidence) { e.history.Batches[2] = batch(2, 6, 7, 6) }},
	{"a reader begins in the middle", logcheck.RuleResumable, func(e *evidence) { e.history.Batches = e.history.Batches[1:2] }},
	{"a batch does not follow the one before", logcheck.RuleResumable, func(e *evidence) { e.history.Batches[1] = batch(1, 3, 5, 4) }},
}

// append puts one more event at the end of the log.
func (e *evidence) append(n int) {
	e.events = append(e.events, stored(8, "a-2", 3, n, 8))
}

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			e := valid()
			f.plant(e)
			found := e.check()
			if !slices.ContainsFunc(found, func(v logcheck.Violation) bool { return v.Rule == f.rule && v.Text != "" }) {
				t.Errorf("no violation of %q among %v", f.rule, found)
			}
		})
	}
}

// TestEachRuleFindsAPlantedFault: a rule that finds nothing, whatever is broken, is none.
func TestEachRuleFindsAPlantedFault(t *testing.T) {
	t.Parallel()
	planted := make(map[logcheck.Rule]bool)
	for _, f := range faults {
		planted[f.rule] = true
	}
	for _, judge := range logcheck.Rules() {
		for _, rule := range judge.Rules {
			if !planted[rule] {
				t.Errorf("no fault is planted for %q", rule)
			}
			delete(planted, rule)
		}
	}
	for rule := range planted {
		t.Errorf("%q is in no table, or twice", rule)
	}
}

// What a rule must not object to, though it is near a fault.
func TestWhatIsNoFault(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(e *evidence){
		"an unknown append that did not happen": func(e *evidence) {
			e.history.Appends = append(e.history.Appends, logcheck.Append{Client: "z", Op: 20, Stream: "a-1", Expected: 0, IDs: []uuid.UUID{id(90)}, Start: 1, Outcome: logcheck.Unknown})
		},
		"other events with ids that were used": func(e *evidence) {
			for n, change := range []func(a *logcheck.Append){
				func(a *logcheck.Append) { a.Content++ },
				func(a *logcheck.Append) { a.Expected = 5 },
				func(a *logcheck.Append) { a.IDs = []uuid.UUID{id(2), id(1)} },
				func(a *logcheck.Append) { a.IDs = []uuid.UUID{id(1), id(9)} },
			} {
				a := e.history.Appends[0]
				a.Op, a.Start, a.End, a.Outcome, a.Version, a.Position, a.Reused = int64(30+n), 21, 22, logcheck.Refused, 0, 0, true
				change(&a)
				e.history.Appends = append(e.history.Appends, a)
			}
		},
		"a retry in other pieces": func(e *evidence) {
			for n := range int64(2) {
				e.history.Appends = append(e.history.Appends, logcheck.Append{Client: "z", Op: 23 + n, Stream: "a-1", Expected: logcheck.AnyVersion,
					IDs: []uuid.UUID{id(int(n) + 1)}, Start: 200, End: 210, Outcome: logcheck.Acked, Version: n, Position: n + 1, Duplicate: true})
			}
		},
		"an event of the store": func(e *evidence) {
			e.append(70)
			e.events[7].Type = "$metadata"
		},
		"an event of somebody else": func(e *evidence) {
			e.append(71)
			e.options.Except = []logcheck.Rule{logcheck.RuleUnsent}
		},
		"a restore": func(e *evidence) {
			e.events = e.events[:4]
			e.restores = []logcheck.Restore{{Incarnation: 2, LastCommon: 4}}
			e.options.Deliveries.Head = 4
			e.history.Reads = e.history.Reads[:2]
		},
		"a filtered reader": func(e *evidence) {
			e.options.Deliveries.Filters = map[string]eventstore.Filter{"filtered": {StreamPrefixes: []string{"a-1"}}}
			b := batch(1, 1, 8, 1, 2, 4, 5)
			b.Reader = "filtered"
			e.history.Batches = append(e.history.Batches, b)
		},
		"a stream that is deleted and begins again": func(e *evidence) {
			e.append(72)
			e.events[7].Type = "$deleted"
			e.events = append(e.events, stored(9, "a-2", 4, 73, 9))
			e.history.Appends = append(e.history.Appends, logcheck.Append{Client: "z", Op: 21, Stream: "a-2", Expected: logcheck.NoStream,
				IDs: []uuid.UUID{id(73)}, Start: 100, End: 110, Outcome: logcheck.Acked, Version: 4, Position: 9})
			e.history.Reads = append(e.history.Reads, logcheck.Read{Client: "z", Op: 22, Stream: "a-2", Version: -1, Start: 95, End: 98})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := valid()
			change(e)
			logcheck.Test(t, e.check())
		})
	}
}

func TestManyViolationsAreCounted(t *testing.T) {
	t.Parallel()
	e := valid()
	for i := range e.events {
		e.events[i].Position += 10 * int64(i+1)
	}
	found := logcheck.Gapless(e.log())
	if n := len(found); n != 6 || found[5].Text != "and 2 more" {
		t.Errorf("violations are %v, want 5 that are named and a count", found)
	}
}

func TestCheckpoints(t *testing.T) {
	t.Parallel()
	e := valid()
	sum := new(big.Int)
	for _, r := range e.events[:4] {
		h := sha256.Sum256(append(binary.BigEndian.AppendUint64(nil, uint64(r.Position)), r.ID[:]...))
		sum.Add(sum, new(big.Int).SetBytes(h[:16]))
	}
	sum.Mod(sum, new(big.Int).Lsh(big.NewInt(1), 128))
	right := logcheck.Checkpoint{Projection: "p", Position: 4, Tally: eventstore.Tally{Events: 4}}
	if err := right.Digest.ScanBytes(sum.FillBytes(make([]byte, 16))); err != nil {
		t.Fatal(err)
	}
	logcheck.Test(t, logcheck.Checkpoints(e.log(), right))
	for name, change := range map[string]func(c *logcheck.Checkpoint){
		"an event is counted twice":    func(c *logcheck.Checkpoint) { c.Events++ },
		"another event was applied":    func(c *logcheck.Checkpoint) { c.Digest = c.Digest.Add(4, id(4)) },
		"it is at another position":    func(c *logcheck.Checkpoint) { c.Position-- },
		"it is behind the end":         func(c *logcheck.Checkpoint) { c.Position = 99 },
		"it counts what it should not": func(c *logcheck.Checkpoint) { c.Counts.StreamPrefixes = []string{"a-1"} },
	} {
		c := right
		change(&c)
		if found := logcheck.Checkpoints(e.log(), c); len(found) != 1 || found[0].Rule != logcheck.RuleCheckpoint {
			t.Errorf("%s: %v, want one violation", name, found)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	want := map[string][]byte{"1": []byte("one"), "2": []byte("two")}
	logcheck.Test(t, logcheck.Rows("p", want, map[string][]byte{"1": []byte("one"), "2": []byte("two")}))
	for name, got := range map[string]map[string][]byte{
		"a row is missing":   {"1": []byte("one")},
		"a row is too much":  {"1": []byte("one"), "2": []byte("two"), "3": nil},
		"a row is different": {"1": []byte("one"), "2": []byte("three")},
	} {
		if found := logcheck.Rows("p", want, got); len(found) != 1 || found[0].Rule != logcheck.RuleRows {
			t.Errorf("%s: %v, want one violation", name, found)
		}
	}
}

func TestConvergedAndLeaks(t *testing.T) {
	t.Parallel()
	over := time.Unix(1000, 0)
	right := func() logcheck.Recovery {
		return logcheck.Recovery{Over: over, Appended: over.Add(time.Second), AtHead: map[string]time.Time{"orders": over.Add(10 * time.Second)}}
	}
	check := func(r logcheck.Recovery) []logcheck.Violation {
		return logcheck.Converged(r, time.Second, 10*time.Second)
	}
	logcheck.Test(t, check(right()))
	for name, change := range map[string]func(r *logcheck.Recovery){
		"no append":        func(r *logcheck.Recovery) { r.Appended = time.Time{} },
		"a late append":    func(r *logcheck.Recovery) { r.Appended = over.Add(time.Second + 1) },
		"one stays behind": func(r *logcheck.Recovery) { r.AtHead["orders"] = time.Time{} },
		"one is late":      func(r *logcheck.Recovery) { r.AtHead["orders"] = over.Add(11 * time.Second) },
	} {
		r := right()
		change(&r)
		if found := check(r); len(found) != 1 || found[0].Rule != logcheck.RuleConverged {
			t.Errorf("%s: %v, want one violation", name, found)
		}
	}
	logcheck.Test(t, logcheck.Leaks(map[string]int{"goroutines": 7, "gone": 1}, map[string]int{"goroutines": 7}))
	if found := logcheck.Leaks(map[string]int{"goroutines": 7}, map[string]int{"goroutines": 7, "idle": 1}); len(found) != 1 || found[0].Rule != logcheck.RuleLeaks {
		t.Errorf("a connection more: %v, want one violation", found)
	}
}
