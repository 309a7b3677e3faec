package validate_test

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/validate"
)

// evidence is what a small test has seen.
type evidence struct {
	events   []eventstore.RecordedEvent
	restores []validate.Restore
	history  validate.History
	options  validate.Options
}

func (e *evidence) log() *validate.Log {
	l := validate.NewLog(nil)
	l.Restores = e.restores
	for _, r := range e.events {
		l.Add(r)
	}
	return l
}

func (e *evidence) check() []validate.Violation {
	return validate.Check(&e.history, e.log(), e.options)
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
	content := validate.ContentOf(e.events[0].Event, e.events[1].Event)
	e.history.Appends = []validate.Append{
		{Client: "x", Op: 1, Stream: "a-1", Expected: validate.NoStream, IDs: []uuid.UUID{id(1), id(2)}, Content: content,
			Start: 10, End: 20, Outcome: validate.Acked, Version: 1, Position: 2, Incarnation: 1},
		{Client: "y", Op: 2, Stream: "a-2", Expected: validate.AnyVersion, IDs: []uuid.UUID{id(3)}, Receipt: "r",
			Start: 10, End: 30, Outcome: validate.Acked, Version: 0, Position: 3, Incarnation: 1},
		{Client: "x", Op: 3, Stream: "a-1", Expected: 1, IDs: []uuid.UUID{id(4)},
			Start: 30, End: 40, Outcome: validate.Acked, Version: 2, Position: 4, Incarnation: 1},
		{Client: "y", Op: 4, Stream: "a-1", Expected: 1, IDs: []uuid.UUID{id(40)},
			Start: 35, End: 45, Outcome: validate.Conflicted, Version: 2},
		{Client: "x", Op: 5, Together: 1, Stream: "a-1", Expected: 2, IDs: []uuid.UUID{id(5)},
			Start: 50, End: 60, Outcome: validate.Acked, Version: 3, Position: 5, Incarnation: 1},
		{Client: "x", Op: 6, Together: 1, Stream: "a-2", Expected: validate.StreamExists, IDs: []uuid.UUID{id(6)},
			Start: 50, End: 60, Outcome: validate.Acked, Version: 1, Position: 6, Incarnation: 1},
		{Client: "y", Op: 7, Stream: "a-2", Expected: 1, IDs: []uuid.UUID{id(7)}, Receipt: "s",
			Start: 65, End: 70, Outcome: validate.Unknown},
		{Client: "y", Op: 8, Stream: "a-2", Expected: 1, IDs: []uuid.UUID{id(7)}, Receipt: "s",
			Start: 75, End: 80, Outcome: validate.Acked, Version: 2, Position: 7, Incarnation: 1},
		{Client: "y", Op: 9, Stream: "a-2", Expected: 0, IDs: []uuid.UUID{id(41)}, Start: 85, End: 90, Outcome: validate.Refused},
	}
	e.history.Reads = []validate.Read{
		{Client: "x", Op: 10, Stream: "a-1", Version: -1, Start: 1, End: 2},
		{Client: "x", Op: 11, Stream: "a-1", Version: 1, Chain: chain(1, 2), Start: 21, End: 32},
		{Client: "x", Op: 12, Stream: "a-1", From: 1, Version: 3, Chain: chain(2, 4, 5), Start: 61, End: 62},
	}
	e.history.Batches = []validate.Batch{
		batch(1, 1, 4, 1, 2, 3), batch(1, 4, 5, 4), batch(2, 4, 7, 4, 5, 6), batch(2, 7, 8, 7),
	}
	e.options.Deliveries.Head = 7
	return e
}

func chain(ids ...int) (c validate.Chain) {
	for _, n := range ids {
		c = c.Add(id(n))
	}
	return c
}

// batch returns what the reader was given, from events whose ids are their
// positions.
func batch(session int, from, next int64, positions ...int) validate.Batch {
	b := eventstore.Batch{Next: next, Head: eventstore.Token{Incarnation: 1}}
	for _, p := range positions {
		b.Events = append(b.Events, stored(int64(p), "", 0, p, 0))
	}
	return validate.BatchOf("reader", session, from, b)
}

func TestValidEvidenceBreaksNoRule(t *testing.T) {
	t.Parallel()
	validate.Test(t, valid().check())
}

// faults are the smallest changes that make evidence of a fault, each with the
// rule that must object.
var faults = []struct {
	name  string
	rule  validate.Rule
	plant func(e *evidence)
}{
	{"a position is skipped", validate.RuleGapless, func(e *evidence) { e.events[6].Position, e.events[6].AppendEnd = 8, 8 }},
	{"the log begins at 2", validate.RuleGapless, func(e *evidence) { e.events = e.events[1:] }},
	{"a position is there twice", validate.RuleGapless, func(e *evidence) { e.events[6].Position = 6 }},
	{"a version is skipped", validate.RuleVersions, func(e *evidence) { e.events[3].Version = 3 }},
	{"a version is there twice", validate.RuleVersions, func(e *evidence) { e.events[3].Version = 1 }},
	{"versions are out of order", validate.RuleVersions, func(e *evidence) { e.events[0].Version, e.events[1].Version = 1, 0 }},
	{"the clock ran backwards", validate.RuleTimes, func(e *evidence) { e.events[4].RecordedAt = time.UnixMicro(1) }},
	{"half of an append is missing", validate.RuleAppends, func(e *evidence) { e.events[5].AppendEnd = 7 }},
	{"the last append is cut off", validate.RuleAppends, func(e *evidence) { e.events = e.events[:5] }},
	{"an append ends before it begins", validate.RuleAppends, func(e *evidence) { e.events[6].AppendEnd = 6 }},
	{"an id is stored twice", validate.RuleIDsOnce, func(e *evidence) { e.events[6].ID = id(3) }},

	{"an acknowledged append is lost", validate.RuleAcked, func(e *evidence) { e.events = e.events[:6] }},
	{"an acknowledged append is elsewhere", validate.RuleAcked, func(e *evidence) { e.history.Appends[2].Position = 3 }},
	{"an acknowledged append has another version", validate.RuleAcked, func(e *evidence) { e.history.Appends[2].Version = 1 }},
	{"an append without ids is lost", validate.RuleAcked, func(e *evidence) { a := &e.history.Appends[7]; a.IDs, a.Position = nil, 9 }},
	{"what is stored is not what was sent", validate.RuleAcked, func(e *evidence) { e.events[1].Data = []byte("else") }},
	{"a restore excuses only what is behind it", validate.RuleAcked, func(e *evidence) {
		e.restores = []validate.Restore{{Incarnation: 2, LastCommon: 7}}
		e.events = e.events[:6]
	}},
	{"a restore excuses only the lives before it", validate.RuleAcked, func(e *evidence) {
		e.restores = []validate.Restore{{Incarnation: 1, LastCommon: 3}}
		e.events = e.events[:6]
	}},
	{"an event comes from nowhere", validate.RuleUnsent, func(e *evidence) { e.events[3].ID = id(99) }},
	{"a conflict is stored", validate.RuleRefused, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Stream, a.IDs = "a-2", []uuid.UUID{id(8)}
		e.append(8)
	}},
	{"a refused append is stored", validate.RuleRefused, func(e *evidence) { e.history.Appends[8].IDs = []uuid.UUID{id(8)}; e.append(8) }},
	{"an append ends with a strange error", validate.RuleErrors, func(e *evidence) { e.history.Appends[6].Strange = "duplicate key" }},
	{"a retry is refused for its own ids", validate.RuleErrors, func(e *evidence) {
		a := e.history.Appends[0]
		a.Op, a.Start, a.End, a.Outcome, a.Reused = 30, 21, 22, validate.Refused, true
		e.history.Appends = append(e.history.Appends, a)
	}},
	{"two win one version", validate.RuleOneWinner, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Outcome, a.Version, a.Position = validate.Acked, 2, 4
	}},
	{"a winner is told another version", validate.RuleOneWinner, func(e *evidence) { e.history.Appends[2].Version = 3 }},
	{"a conflict with the version demanded", validate.RuleOneWinner, func(e *evidence) { e.history.Appends[3].Version = 1 }},
	{"a retry is answered otherwise", validate.RuleAcked, func(e *evidence) { a := &e.history.Appends[6]; a.Outcome, a.Version = validate.Acked, 3 }},
	{"a retry is stored again", validate.RuleRetries, func(e *evidence) {
		e.history.Appends[6].IDs, e.history.Appends[6].Expected = []uuid.UUID{id(8)}, validate.AnyVersion
		e.append(8)
	}},
	{"a receipt has two answers", validate.RuleRetries, func(e *evidence) { e.history.Appends[1].Receipt = "s" }},
	{"of two streams one is written", validate.RuleTogether, func(e *evidence) { e.events[5].ID = id(50) }},
	{"two streams are written one after the other", validate.RuleTogether, func(e *evidence) { e.events[4].AppendEnd = 5 }},
	{"a read shows what is not there", validate.RuleReads, func(e *evidence) { e.history.Reads[2].Version = 4 }},
	{"a read shows a stream that is not there", validate.RuleReads, func(e *evidence) { e.history.Reads[2].Stream = "a-9" }},
	{"a read shows other events", validate.RuleReads, func(e *evidence) { e.history.Reads[1].Chain = chain(1, 3) }},
	{"a read leaves an event out", validate.RuleReads, func(e *evidence) { e.history.Reads[2].Chain = chain(2, 5) }},

	{"a read is stale", validate.RuleLinearizable, func(e *evidence) { r := &e.history.Reads[1]; r.Start, r.End = 41, 42 }},
	{"a read is early", validate.RuleLinearizable, func(e *evidence) { e.history.Reads[1].Start, e.history.Reads[1].End = 8, 9 }},
	{"a stream is not found when it is there", validate.RuleLinearizable, func(e *evidence) { e.history.Reads[0].Start, e.history.Reads[0].End = 21, 22 }},
	{"a conflict is with a version of the past", validate.RuleLinearizable, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Expected, a.Version, a.Start, a.End = 0, 1, 61, 62
	}},
	{"a conflict is with a version of the future", validate.RuleLinearizable, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Version, a.Start, a.End = 3, 41, 45
	}},
	{"a demand that was not met is accepted", validate.RuleLinearizable, func(e *evidence) { e.history.Appends[5].Expected = validate.NoStream }},
	{"a demand that was met is refused", validate.RuleLinearizable, func(e *evidence) { e.history.Appends[3].Expected = validate.AnyVersion }},
	{"an append is acknowledged before it begins", validate.RuleLinearizable, func(e *evidence) {
		e.history.Appends[6].Start, e.history.Appends[7].Start, e.history.Appends[7].End = 5, 5, 6
	}},
	{"appends are stored in another order than they were made", validate.RuleLinearizable, func(e *evidence) {
		e.history.Appends[4].Start, e.history.Appends[4].End = 22, 25
	}},
	{"two appends have one version", validate.RuleLinearizable, func(e *evidence) {
		a := &e.history.Appends[3]
		a.Outcome, a.Version, a.Position = validate.Acked, 2, 4
	}},

	{"two events are swapped", validate.RuleOrdered, func(e *evidence) {
		e.history.Batches[0] = batch(1, 1, 4, 1, 3, 2)
	}},
	{"a batch goes beyond its own end", validate.RuleOrdered, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 7, 7) }},
	{"an event is delivered twice", validate.RuleUnique, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 8, 6, 7) }},
	{"an event is skipped", validate.RuleComplete, func(e *evidence) { e.history.Batches[0] = batch(1, 1, 4, 1, 3) }},
	{"the last event of a batch is skipped", validate.RuleComplete, func(e *evidence) { e.history.Batches[0] = batch(1, 1, 4, 1, 2) }},
	{"all events of a batch are skipped", validate.RuleComplete, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 8) }},
	{"the end is never delivered", validate.RuleComplete, func(e *evidence) { e.history.Batches = e.history.Batches[:3] }},
	{"what is not there is delivered", validate.RuleComplete, func(e *evidence) { e.history.Batches[3] = batch(2, 7, 9, 7, 8) }},
	{"an event that the filter does not pick is delivered", validate.RuleComplete, func(e *evidence) {
		e.options.Deliveries.Filters = map[string]eventstore.Filter{"reader": {StreamPrefixes: []string{"a-1"}}}
	}},
	{"another event is delivered", validate.RuleContent, func(e *evidence) { e.history.Batches[1].Chain = chain(5) }},
	{"an append is split", validate.RuleAtomic, func(e *evidence) {
		e.history.Batches = []validate.Batch{batch(1, 1, 2, 1), batch(1, 2, 8, 2, 3, 4, 5, 6, 7)}
	}},
	{"a reader goes on too far", validate.RuleResumable, func(e *evidence) { e.history.Batches[2] = batch(2, 6, 7, 6) }},
	{"a reader begins in the middle", validate.RuleResumable, func(e *evidence) { e.history.Batches = e.history.Batches[1:2] }},
	{"a batch does not follow the one before", validate.RuleResumable, func(e *evidence) { e.history.Batches[1] = batch(1, 3, 5, 4) }},
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
			if !slices.ContainsFunc(found, func(v validate.Violation) bool { return v.Rule == f.rule && v.Text != "" }) {
				t.Errorf("no violation of %q among %v", f.rule, found)
			}
		})
	}
}

// What a rule must not object to, though it is near a fault.
func TestWhatIsNoFault(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(e *evidence){
		"an unknown append that did not happen": func(e *evidence) {
			e.history.Appends = append(e.history.Appends, validate.Append{Client: "z", Op: 20, Stream: "a-1", Expected: 0, IDs: []uuid.UUID{id(90)}, Start: 1, Outcome: validate.Unknown})
		},
		"other events with ids that were used": func(e *evidence) {
			for n, change := range []func(a *validate.Append){
				func(a *validate.Append) { a.Content++ },
				func(a *validate.Append) { a.Expected = 5 },
				func(a *validate.Append) { a.IDs = []uuid.UUID{id(2), id(1)} },
				func(a *validate.Append) { a.IDs = []uuid.UUID{id(1), id(9)} },
			} {
				a := e.history.Appends[0]
				a.Op, a.Start, a.End, a.Outcome, a.Version, a.Position, a.Reused = int64(30+n), 21, 22, validate.Refused, 0, 0, true
				change(&a)
				e.history.Appends = append(e.history.Appends, a)
			}
		},
		"a retry in other pieces": func(e *evidence) {
			for n := range int64(2) {
				e.history.Appends = append(e.history.Appends, validate.Append{Client: "z", Op: 23 + n, Stream: "a-1", Expected: validate.AnyVersion,
					IDs: []uuid.UUID{id(int(n) + 1)}, Start: 200, End: 210, Outcome: validate.Acked, Version: n, Position: n + 1, Duplicate: true})
			}
		},
		"an event of the store": func(e *evidence) {
			e.append(70)
			e.events[7].Type = "$metadata"
		},
		"an event of somebody else": func(e *evidence) {
			e.append(71)
			e.options.OthersAppended = true
		},
		"a restore": func(e *evidence) {
			e.events = e.events[:4]
			e.restores = []validate.Restore{{Incarnation: 2, LastCommon: 4}}
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
			e.history.Appends = append(e.history.Appends, validate.Append{Client: "z", Op: 21, Stream: "a-2", Expected: validate.NoStream,
				IDs: []uuid.UUID{id(73)}, Start: 100, End: 110, Outcome: validate.Acked, Version: 4, Position: 9})
			e.history.Reads = append(e.history.Reads, validate.Read{Client: "z", Op: 22, Stream: "a-2", Version: -1, Start: 95, End: 98})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := valid()
			change(e)
			validate.Test(t, e.check())
		})
	}
}

func TestManyViolationsAreCounted(t *testing.T) {
	t.Parallel()
	e := valid()
	for i := range e.events {
		e.events[i].Position += 10 * int64(i+1)
	}
	found := validate.Gapless(e.log())
	if n := len(found); n != 6 || found[5].Text != "and 2 more" {
		t.Errorf("violations are %v, want 5 that are named and a count", found)
	}
}

// What cannot be decided in time must not pass.
func TestWhatIsNotDecidedIsAViolation(t *testing.T) {
	t.Parallel()
	e := valid()
	found := validate.Linearizable(&e.history, e.log(), validate.LinearOptions{PerStream: time.Nanosecond})
	if len(found) == 0 || found[0].Rule != validate.RuleUndecided {
		t.Errorf("violations are %v, want one of %q", found, validate.RuleUndecided)
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
	right := validate.Checkpoint{Projection: "p", Position: 4, Events: 4, Digest: hex.EncodeToString(sum.FillBytes(make([]byte, 16)))}
	validate.Test(t, validate.Checkpoints(e.log(), right))
	for name, change := range map[string]func(c *validate.Checkpoint){
		"an event is counted twice":    func(c *validate.Checkpoint) { c.Events++ },
		"another event was applied":    func(c *validate.Checkpoint) { c.Digest = "00" + c.Digest[2:] },
		"it is at another position":    func(c *validate.Checkpoint) { c.Position-- },
		"it is behind the end":         func(c *validate.Checkpoint) { c.Position = 99 },
		"it counts what it should not": func(c *validate.Checkpoint) { c.Counts.StreamPrefixes = []string{"a-1"} },
	} {
		c := right
		change(&c)
		if found := validate.Checkpoints(e.log(), c); len(found) != 1 || found[0].Rule != validate.RuleCheckpoint {
			t.Errorf("%s: %v, want one violation", name, found)
		}
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	want := map[string][]byte{"1": []byte("one"), "2": []byte("two")}
	validate.Test(t, validate.Rows("p", want, map[string][]byte{"1": []byte("one"), "2": []byte("two")}))
	for name, got := range map[string]map[string][]byte{
		"a row is missing":   {"1": []byte("one")},
		"a row is too much":  {"1": []byte("one"), "2": []byte("two"), "3": nil},
		"a row is different": {"1": []byte("one"), "2": []byte("three")},
	} {
		if found := validate.Rows("p", want, got); len(found) != 1 || found[0].Rule != validate.RuleRows {
			t.Errorf("%s: %v, want one violation", name, found)
		}
	}
}

func TestConvergedAndLeaks(t *testing.T) {
	t.Parallel()
	over := time.Unix(1000, 0)
	right := func() validate.Recovery {
		return validate.Recovery{Over: over, Appended: over.Add(time.Second), AtHead: map[string]time.Time{"orders": over.Add(10 * time.Second)}}
	}
	check := func(r validate.Recovery) []validate.Violation {
		return validate.Converged(r, time.Second, 10*time.Second)
	}
	validate.Test(t, check(right()))
	for name, change := range map[string]func(r *validate.Recovery){
		"no append":        func(r *validate.Recovery) { r.Appended = time.Time{} },
		"a late append":    func(r *validate.Recovery) { r.Appended = over.Add(time.Second + 1) },
		"one stays behind": func(r *validate.Recovery) { r.AtHead["orders"] = time.Time{} },
		"one is late":      func(r *validate.Recovery) { r.AtHead["orders"] = over.Add(11 * time.Second) },
	} {
		r := right()
		change(&r)
		if found := check(r); len(found) != 1 || found[0].Rule != validate.RuleConverged {
			t.Errorf("%s: %v, want one violation", name, found)
		}
	}
	validate.Test(t, validate.Leaks(map[string]int{"goroutines": 7, "gone": 1}, map[string]int{"goroutines": 7}))
	if found := validate.Leaks(map[string]int{"goroutines": 7}, map[string]int{"goroutines": 7, "idle": 1}); len(found) != 1 || found[0].Rule != validate.RuleLeaks {
		t.Errorf("a connection more: %v, want one violation", found)
	}
}
