package core

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// bench is a partition on a bench: positions are given keys by letters, "a b a" are events 1 of a, 2 of b, 3 of a.
type bench struct {
	*testing.T
	*Partition
	b       *Breaker
	now     time.Time
	flights map[int64]*Attempt // by the first position
	keys    map[int64]string
}

func newBench(t *testing.T, change func(*Config), rows ...Row) *bench {
	random := rand.New(rand.NewPCG(1, 2)).Float64
	c := config(random)
	if change != nil {
		change(&c)
	}
	b := NewBreaker(20, random)
	return &bench{t, NewPartition(c, b, 0, rows), b, begin, make(map[int64]*Attempt), make(map[int64]string)}
}

func (b *bench) offer(keys string) {
	b.Helper()
	var items []Item
	position := b.Read()
	for _, k := range strings.Fields(keys) {
		position++
		items = append(items, Item{Position: position, Key: k, Size: 10})
	}
	b.Offer(items, position)
}

// next begins what there is to begin, and wants it to be this: "1 2+3" are an attempt for 1 and one for 2 and 3.
func (b *bench) next(want string) {
	b.Helper()
	var got []string
	for a, ok := b.Next(b.now); ok; a, ok = b.Next(b.now) {
		var positions []string
		for _, it := range a.Items {
			positions = append(positions, fmt.Sprint(it.Position))
		}
		b.flights[a.Items[0].Position] = a
		got = append(got, strings.Join(positions, "+"))
	}
	if s := strings.Join(got, " "); s != want {
		b.Fatalf("attempts are %q, want %q", s, want)
	}
}

func (b *bench) ended(first int64, results ...Result) {
	b.Helper()
	a := b.flights[first]
	if a == nil {
		b.Fatalf("%d is not in flight", first)
	}
	delete(b.flights, first)
	b.Ended(b.now, a, results)
}

// moves makes a move, and wants it to say this: "3: +1 waiting, +2 blocked, -3".
func (b *bench) moves(want string) {
	b.Helper()
	m, ok := b.Move()
	if !ok {
		if want != "" {
			b.Fatalf("there is no move, want %q", want)
		}
		return
	}
	var rows []string
	for _, r := range m.Put {
		rows = append(rows, fmt.Sprintf("+%d %s", r.Position, cmp.Or(map[State]string{Dead: r.Class}[r.State], string(r.State))))
	}
	for _, r := range m.Remove {
		rows = append(rows, fmt.Sprintf("-(%d)", r))
	}
	if got := strings.TrimSuffix(fmt.Sprintf("%d: %s", m.To, strings.Join(rows, ", ")), ": "); got != want {
		b.Fatalf("the move is %q, want %q", got, want)
	}
	b.Moved(m, true)
}

var (
	done1     = Result{Outcome: Done}
	transient = Result{Outcome: Transient, Class: "transient", Error: "no answer"}
	permanent = Result{Outcome: Permanent, Class: "permanent", Error: "no such order"}

	unsendable = Result{Outcome: Unsendable, Class: "undecodable", Error: "no JSON"}
)

func TestKeysAreInOrderAndApart(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a b a c a")
	b.next("1 2 4")
	b.moves("")
	b.ended(2, done1)
	b.ended(1, done1)
	b.moves("2")
	b.next("3")
	b.ended(4, done1)
	b.ended(3, done1)
	b.next("5")
	b.moves("4")
	b.ended(5, done1)
	b.moves("5")
	b.Offer([]Item{{Position: 4, Key: "c"}, {Position: 5, Key: "a"}}, 5) // read long ago
	b.next("")
}

func TestAFailureIsChargedIfTheTargetWorksForOthers(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a b a")
	b.next("1 2")
	b.ended(2, done1)
	b.ended(1, permanent) // b ended well since it began
	b.moves("2: +1 permanent")
	b.next("3") // the dead do not hold
	b.ended(3, permanent)
	b.moves("3: +3 waiting") // nobody else to compare with
	b.offer("a a")
	if n := b.window.len(); n != 2 {
		t.Errorf("%d events are in memory, want both of a behind a failure that nobody is blamed for", n)
	}
	b.now = b.now.Add(2 * time.Second)
	b.next("3")
	b.ended(3, permanent)
	if s := b.b.Status(); !s.Open {
		t.Error("the breaker is closed, though nothing is left but a key that failed, twice, and nobody else to compare with")
	}
	b.moves("3: +3 waiting")
	b.now = b.now.Add(2 * time.Second)
	b.next("3") // a probe
	b.ended(3, permanent)
	b.moves("")
	b.offer("b")
	b.next("6 3") // another key to ask, at last
	b.ended(3, permanent)
	b.ended(6, done1)
	b.now = b.now.Add(2 * time.Second)
	b.next("3")
	b.ended(3, transient)
	b.moves("6: +3 waiting, +4 blocked, +5 blocked")
	b.offer("a")
	b.moves("7: +7 blocked")
	b.now = b.now.Add(10 * time.Second)
	b.next("3")
	b.ended(3, done1)
	b.next("4")
	b.moves("7: -(3)")
	b.ended(4, done1)
	b.next("5")
	b.ended(5, done1)
	b.next("7")
	b.ended(7, done1)
	b.moves("7: -(4), -(5), -(7)")
	if len(b.lines) > 0 || len(b.rows) > 0 {
		t.Errorf("%d lines and %d rows are left", len(b.lines), len(b.rows))
	}
}

func TestTheBreakerOpensAtTwentyKeys(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxInFlight = 4 })
	keys := make([]string, 100)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	b.offer(strings.Join(keys, " "))
	begun := 0
	for {
		a, ok := b.Next(b.now)
		if !ok {
			break
		}
		begun++
		b.Ended(b.now, a, []Result{permanent})
	}
	if s := b.b.Status(); begun != 20 || !s.Open || b.Status().Parked != 20 {
		t.Fatalf("%d attempts, %d rows, breaker %+v; want it open after 20", begun, b.Status().Parked, s)
	}
	probes := 0
	for range 3600 {
		b.now = b.now.Add(time.Second)
		for a, ok := b.Next(b.now); ok; a, ok = b.Next(b.now) {
			if probes++; a.Kind != Probe || probes <= 80 && a.Items[0].Position <= 20 {
				t.Fatalf("a %s of %d, want probes, first of the 80 events without a row", a.Kind, a.Items[0].Position)
			}
			b.Ended(b.now, a, []Result{permanent})
		}
	}
	if probes < 300 || probes > 600 || b.Status().Parked != 20 {
		t.Errorf("%d probes in an hour, %d rows", probes, b.Status().Parked)
	}
	at, ok := b.Wake()
	if !ok || at.Sub(b.now) > 38*time.Second {
		t.Fatalf("Wake = %v, %v", at, ok)
	}
	b.now = at
	a, ok := b.Next(b.now)
	if !ok {
		t.Fatal("no probe when it said")
	}
	b.Ended(b.now, a, []Result{done1})
	for want := 1; want <= 4; want *= 2 {
		var some []*Attempt
		for a, ok := b.Next(b.now); ok; a, ok = b.Next(b.now) {
			some = append(some, a)
		}
		if len(some) != want {
			t.Fatalf("%d at once, want %d", len(some), want)
		}
		b.Ended(b.now, some[0], []Result{done1})
		for _, a := range some[1:] {
			b.Ended(b.now, a, []Result{{Outcome: Throttled, After: time.Nanosecond}})
		}
		b.now = b.now.Add(time.Millisecond)
	}
}

func TestBatches(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxEvents, c.MaxBytes, c.Wait = 3, 45, time.Second })
	b.offer("a b a a")
	b.next("1+2+3")
	b.offer("c")
	b.next("") // 4 is of a key in flight, 5 waits for others
	if at, ok := b.Wake(); !ok || at != b.now.Add(time.Second) {
		t.Errorf("Wake = %v, %v, want in a second", at, ok)
	}
	b.ended(1, done1, done1, transient)
	b.moves("4: +3 waiting, +4 blocked")
	b.now = b.now.Add(time.Second)
	b.next("3 5")
	b.ended(3, done1)
	b.ended(5, done1)
	b.next("4")
	b.ended(4, done1)
	b.moves("5: -(3), -(4)")

	b = newBench(t, func(c *Config) { c.MaxEvents = 4 })
	b.offer("a b a b")
	b.next("1+2+3+4")
	b.ended(1, done1, transient, transient, done1) // 4 is behind 2
	b.moves("4: +2 waiting, +3 waiting, +4 blocked")
}

func TestABatchThatFailedIsHalved(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxEvents = 8 })
	b.offer("a b c d e f c g")
	b.next("1+2+3+4+5+6+7+8")
	b.ended(1, permanent)
	b.next("1+2+3+4")
	b.ended(1, permanent)
	b.next("1+2")
	b.ended(1, done1)
	b.next("3+4")
	b.ended(3, permanent)
	b.next("3")
	b.ended(3, permanent)
	b.moves("3: +3 permanent")
	b.next("4")
	b.ended(4, done1)
	b.next("5+6+7+8")
	b.ended(5, done1)
	b.moves("8")

	// Nothing works: one is parked to show it, the others are not.
	b = newBench(t, func(c *Config) { c.MaxEvents = 4 })
	b.offer("a b c d")
	b.next("1+2+3+4")
	b.ended(1, transient)
	b.next("1+2")
	b.ended(1, transient)
	b.next("1")
	b.ended(1, transient)
	b.moves("1: +1 waiting")
	b.next("2+3+4")
}

// TestNobodyDiesOfABatch: what is not halved is tried again, each event alone, and only who failed alone is dead.
func TestNobodyDiesOfABatch(t *testing.T) {
	for _, c := range []struct {
		result Result
		drain  bool
		class  string
	}{{permanent, false, "permanent"}, {transient, false, "exhausted"}, {unsendable, true, "permanent"}} {
		b := newBench(t, func(c *Config) { c.MaxEvents, c.Bisect, c.Retry.MaxAttempts, c.Retry.First = 3, false, 1, 1 })
		b.offer("a b c d")
		b.next("1+2+3 4")
		b.ended(4, done1)
		if c.drain {
			b.Drain()
		}
		b.ended(1, c.result)
		b.moves("4: +1 waiting, +2 waiting, +3 waiting")
		b.draining, b.now = false, b.now.Add(10*time.Second)
		b.next("1 2 3")
		b.ended(1, done1)
		b.ended(3, done1)
		b.ended(2, c.result)
		b.moves("4: +2 " + c.class + ", -(1), -(3)")
	}

	// Nobody was asked for a batch that cannot be decoded, and nobody minds that it is halved.
	b := newBench(t, func(c *Config) { c.MaxEvents, c.Bisect = 3, false })
	b.offer("a b c")
	b.next("1+2+3")
	b.ended(1, unsendable)
	b.next("1+2")
	b.ended(1, unsendable)
	b.next("1")
	b.ended(1, done1)
	b.next("2")
	b.ended(2, unsendable)
	b.next("3")
	b.ended(3, done1)
	b.moves("3: +2 permanent")
}

func TestATargetThatIsThrottledPauses(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a b c")
	b.next("1 2 3")
	b.ended(1, Result{Outcome: Throttled, After: 7 * time.Second})
	b.ended(2, done1)
	b.ended(3, Result{Outcome: Throttled})
	b.next("")
	if at, ok := b.Wake(); !ok || at != b.now.Add(7*time.Second) {
		t.Errorf("Wake = %v, %v, want in 7 s", at, ok)
	}
	b.moves("")
	b.now = b.now.Add(7 * time.Second)
	b.next("1 3")
}

// TestWhatIsPostponedWaitsAlone, longer each time, and has had no attempt: its key waits with it, and no batch is cut for it.
func TestWhatIsPostponedWaitsAlone(t *testing.T) {
	b := newBench(t, func(c *Config) { c.MaxEvents = 2 })
	b.offer("a a b c")
	b.next("1+2 3+4")
	b.ended(1, Result{Outcome: Postponed, After: time.Minute}, transient) // what is behind it was not tried
	b.ended(3, done1)
	b.moves("1: +1 waiting")
	if at, ok := b.Wake(); !ok || at != b.now.Add(time.Minute) {
		t.Errorf("Wake = %v, %v, want in a minute", at, ok)
	}
	for n := range 20 {
		at, _ := b.Wake()
		b.now = at
		a, ok := b.Next(b.now)
		if !ok || len(a.Items) != 1 || a.Items[0].Position != 1 || a.Items[0].Attempt != 1 || !a.Items[0].Tried {
			t.Fatalf("attempt %d is %+v", n, a)
		}
		b.Ended(b.now, a, []Result{{Outcome: Postponed}})
	}
	if s := b.b.Status(); s.Open || s.FailedKeys > 0 {
		t.Errorf("the breaker is %+v", s)
	}
	at, _ := b.Wake()
	b.now = at
	b.next("1")
	b.ended(1, done1)
	b.next("2")
	b.ended(2, done1)
	b.moves("4: -(1)")
}

func TestHold(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Hold = true })
	b.offer("a b a")
	b.next("1 2")
	b.ended(2, done1)
	b.ended(1, permanent)
	b.moves("3: +1 permanent, +3 blocked")
	b.next("")
	b.offer("a")
	b.moves("4: +4 blocked")
	row := Row{Position: 1, Key: "a", State: Dead}
	if b.Want(b.now, b.Moves()-1, row, Redrive) {
		t.Error("a wish was carried out that was read before a move")
	}
	b.Want(b.now, b.Moves(), row, Redrive)
	b.next("1")
	b.Want(b.now, b.Moves(), Row{Position: 3, Key: "a"}, Discard)
	b.ended(1, done1)
	b.next("4")
	b.ended(4, done1)
	b.moves("4: -(1), -(3), -(4)")
}

// TestARetryRevivesNoDeadLetter: the row died after the operator had seen it.
func TestARetryRevivesNoDeadLetter(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a b")
	b.next("1 2")
	b.ended(2, done1)
	b.ended(1, permanent)
	b.moves("2: +1 permanent")
	b.Want(b.now, b.Moves(), Row{Position: 1, Key: "a", State: Dead, Class: ClassPermanent}, RetryNow)
	b.next("")
	b.moves("2: +1 permanent") // which says that the wish is over
	if len(b.rows) > 0 {
		t.Error("the row is in memory")
	}
}

func TestARedriveTakesItsKeyFirst(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a a")
	b.next("1")
	b.Want(b.now, b.Moves(), Row{Position: -5, Key: "a", State: Dead, Attempts: 9, Charged: 8}, Redrive)
	b.next("") // 1 is in flight
	b.ended(1, done1)
	a, _ := b.Next(b.now)
	if want := (AttemptItem{Position: -5, Key: "a", Attempt: 1, Redrive: true, Tried: true, ev: a.Items[0].ev}); !reflect.DeepEqual(a.Items, []AttemptItem{want}) {
		t.Errorf("the attempt is %+v, want %+v", a.Items, want)
	}
	b.next("")
	b.moves("1: +-5 waiting")
	b.Ended(b.now, a, []Result{done1})
	b.next("2")
	b.moves("1: -(-5)")
}

func TestDrainRepeatsNothing(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a b a c d")
	b.next("1 2 4 5")
	b.ended(2, done1)
	b.ended(4, done1)
	b.Drain()
	b.next("")
	b.offer("e")
	if b.Drained() {
		t.Error("it is drained with two attempts in flight")
	}
	b.Stuck(b.flights[5])
	b.ended(1, done1)
	if !b.Drained() {
		t.Error("it waits for what is stuck")
	}
	b.moves("4: +3 blocked")
}

func TestSerial(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Serial = true })
	b.offer("a b")
	b.next("1")
	b.moves("")
	b.ended(1, done1)
	m, _ := b.Move()
	b.next("") // its transaction has not committed
	b.Moved(m, true)
	b.next("2")
}

func TestAMoveForgetsWhatItSent(t *testing.T) {
	b := newBench(t, nil)
	b.offer("a b")
	b.next("1 2")
	b.ended(2, done1)
	b.ended(1, transient)
	m, _ := b.Move()
	b.now = b.now.Add(time.Second)
	b.next("1")
	b.ended(1, done1) // while it is written
	b.Moved(m, true)
	b.moves("2: -(1)")
}

func TestWindowAndFull(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Window = 4 })
	b.offer("a b c d e f")
	if b.Read() != 4 || b.Wants() {
		t.Errorf("it read to %d, wants more: %v; want 4 and no", b.Read(), b.Wants())
	}
	b.next("1 2 3 4")
	for i := range int64(4) {
		b.ended(i+1, done1)
	}
	if b.Wants() {
		t.Error("it wants more though the database does not know that the window is empty")
	}
	b.moves("4")
	b.offer("e")
	if b.Read() != 5 {
		t.Error("it reads nothing after the move")
	}

	b = newBench(t, func(c *Config) { c.MaxParked = 2 }, Row{Position: -2, Key: "a", State: Waiting, Charged: 1, NextAttempt: begin.Add(time.Hour)})
	b.offer("a b a c")
	if b.Read() != 1 || !slices.Equal(b.Full(), []string{"a"}) {
		t.Errorf("it read to %d, full of %q", b.Read(), b.Full())
	}
}

func TestReadToAndHalt(t *testing.T) {
	b := newBench(t, nil)
	b.ReadTo(2)
	b.offer("a b c")
	b.next("1 2")
	b.ended(1, Result{Outcome: Gone, Error: "410"})
	b.ended(2, done1)
	b.next("")
	if h := b.Halted(); h == nil || h.Outcome != Gone || h.Position != 1 {
		t.Errorf("Halted = %+v", h)
	}
	b.moves("")
}

func TestAssign(t *testing.T) {
	members := []Member{{ID: 1, CanRun: []string{"a", "b"}}, {ID: 2, CanRun: []string{"a"}}, {ID: 3, CanRun: []string{"b"}}}
	share := make(map[int64]int)
	for s := range int64(100) {
		for n := range 10 {
			was, _ := Assign(members, "a", s, n)
			share[was]++
			// Who joins takes only for itself, in whatever order one looks.
			more := []Member{{ID: 4, CanRun: []string{"a"}}, members[2], members[1], members[0]}
			if is, _ := Assign(more, "a", s, n); is != was && is != 4 {
				t.Fatalf("a partition went from %d to %d when 4 came", was, is)
			}
		}
	}
	if share[3] > 0 || share[1] < 400 || share[2] < 400 {
		t.Errorf("members have %v", share)
	}
	if _, ok := Assign(members, "c", 1, 1); ok {
		t.Error("somebody is to run what nobody can")
	}
}

// TestPartitionOf has what must never change: cursors stand on it.
func TestPartitionOf(t *testing.T) {
	for key, want := range map[string]int{"": 20, "order-1": 140, strings.Repeat("x", 512): 56, strings.Repeat("x", 513): 200} {
		if got := PartitionOf(key, 256); got != want {
			t.Errorf("PartitionOf(%.10q, 256) = %d, want %d", key, got, want)
		}
	}
	for i := range 1000 {
		key := fmt.Sprint(i)
		if a, b := PartitionOf(key, 16), PartitionOf(key, 32); b != a && b != a+16 {
			t.Fatalf("a key of %d of 16 is in %d of 32", a, b)
		}
	}
	if at := Barrier([]int64{3, 9, 4}); at != 9 {
		t.Errorf("Barrier = %d, want 9", at)
	}
}
