package window

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestFold compares what comes out of random events with what an oracle says that has all events in memory and looks at every window
// after each: however the events are cut into batches, whichever windows are in memory, and though what is kept goes through its State.
func TestFold(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		check(t, rand.New(rand.NewPCG(seed, 13)))
	}
}

func FuzzFold(f *testing.F) {
	for seed := range uint64(10) {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, a, b uint64) { check(t, rand.New(rand.NewPCG(a, b))) })
}

// plan is a Config and batches of events.
type plan struct {
	c       Config
	batches [][]Event
}

func newPlan(r *rand.Rand) plan {
	p := plan{c: Config{Kind: []Kind{Tumbling, Sliding, Session}[r.IntN(3)], Size: 1 + r.Int64N(20), Gap: 1 + r.Int64N(6), Delay: r.Int64N(10), Grace: r.Int64N(6),
		Keep: r.Int64N(30), Late: []Late{Update, Side, Drop}[r.IntN(3)]}}
	p.c.Every = 1 + r.Int64N(p.c.Size+2) // there may be gaps between the windows
	ops := Ops()
	r.Shuffle(len(ops), func(i, j int) { ops[i], ops[j] = ops[j], ops[i] })
	p.c.Values = ops[:r.IntN(len(ops)+1)]
	clock, position := r.Int64N(100)-50, int64(0)
	for range r.IntN(12) {
		var batch []Event
		for range 1 + r.IntN(8) {
			clock += r.Int64N(4)
			position += 1 + r.Int64N(2)
			e := Event{At: clock - r.Int64N(30) + r.Int64N(12), Recorded: clock, Position: position, Key: string(rune('a' + r.IntN(3)))}
			for range p.c.Values {
				o := Operand{There: r.IntN(5) > 0, Text: fmt.Sprintf("%q", string(rune('k'+r.IntN(4))))}
				if o.There {
					number := []string{"0", "-0", "1", "-2.50", "0.1", "1e2", "1.5E-3", "99999999999999999999.01", "-3", "0.00000000000015"}[r.IntN(10)]
					o.Number, _ = ParseDecimal(number)
				}
				e.Operands = append(e.Operands, o)
			}
			batch = append(batch, e)
		}
		if r.IntN(6) == 0 {
			clock += r.Int64N(60)
		}
		p.batches = append(p.batches, batch)
	}
	return p
}

func check(t *testing.T, r *rand.Rand) {
	t.Helper()
	p := newPlan(r)
	o := &oracle{c: p.c, watermark: NoWatermark}
	k := &keeper{c: p.c, watermark: NoWatermark, kept: make(map[string]Window), states: make(map[string][]byte)}
	n := 0
	for i := range p.batches {
		for j := range p.batches[i] {
			o.add(&p.batches[i][j])
		}
		k.add(t, p.batches[i])
		if r.IntN(4) == 0 { // nothing came for a while
			o.advance(o.watermark + 7)
			k.run(t, nil, k.watermark+7)
		}
		n += len(p.batches[i])
	}
	if n > 0 {
		o.advance(1 << 40)
		k.run(t, nil, 1<<40)
	}
	slices.Sort(o.out)
	slices.Sort(k.out)
	got := fmt.Sprintf("late %d, dropped %d\n%s", k.late, k.dropped, strings.Join(k.out, "\n"))
	want := fmt.Sprintf("late %d, dropped %d\n%s", o.late, o.dropped, strings.Join(o.out, "\n"))
	if got != want {
		t.Fatalf("of %+v came\n%s\nwant\n%s", p, got, want)
	}
	if len(k.kept) > 0 {
		t.Fatalf("%d windows are kept for ever", len(k.kept))
	}
}

// keeper has a Fold for each batch, and windows in between as a table has them.
type keeper struct {
	c             Config
	watermark     int64
	kept          map[string]Window
	states        map[string][]byte
	out           []string
	late, dropped int64
}

func (k *keeper) add(t *testing.T, batch []Event) { k.run(t, batch, NoWatermark) }

func (k *keeper) run(t *testing.T, batch []Event, watermark int64) {
	t.Helper()
	f := NewFold(&k.c, k.watermark)
	here := make(map[string]bool)
	load := func(id string) {
		w := k.kept[id]
		if err := w.SetState(&k.c, k.states[id]); err != nil {
			t.Fatal(err)
		}
		here[id] = true
		f.Put(&w)
	}
	first, last := make(map[string]int64), make(map[string]int64)
	for i := range batch {
		e := &batch[i]
		if _, ok := first[e.Key]; !ok {
			first[e.Key], last[e.Key] = e.At, e.At
		}
		first[e.Key], last[e.Key] = min(first[e.Key], e.At), max(last[e.Key], e.At)
	}
	for id, w := range k.kept {
		if _, ok := first[w.Key]; !ok {
			continue
		}
		if from, to, least := k.c.Reach(first[w.Key], last[w.Key]); w.End > from && w.Start < to && w.Start > least {
			load(id)
		}
	}
	for i := range batch {
		f.Add(&batch[i])
	}
	f.Advance(watermark)
	for id, w := range k.kept {
		if !here[id] && w.DueAt(&k.c) <= f.Watermark {
			load(id)
		}
	}
	f.CloseDue()
	put, gone := f.Changed()
	for _, w := range gone {
		delete(k.kept, fmt.Sprint(w.Key, w.Start))
	}
	for _, w := range put {
		id := fmt.Sprint(w.Key, w.Start)
		k.states[id] = w.State()
		w.values = nil
		w.isNew, w.changed = false, false
		k.kept[id] = *w
	}
	k.watermark = f.Watermark
	k.late += f.Late
	k.dropped += f.Dropped
	for _, c := range f.Closings {
		k.out = append(k.out, fmt.Sprintf("%s [%d,%d) revision %d of %d events, %d late, to %d: %s", c.Key, c.Start, c.End, c.Revision, c.Events, c.Late, c.Position, c.Values))
	}
	for _, m := range f.Missed {
		k.out = append(k.out, fmt.Sprintf("%d missed [%d,%d)", batch[m.Event].Position, m.Start, m.End))
	}
}

// oracle has all that came, and does everything at once.
type oracle struct {
	c             Config
	watermark     int64
	all           []*known
	out           []string
	late, dropped int64
}

// known is a window with its events.
type known struct {
	key        string
	start, end int64
	events     []*Event
	late       int
	closings   int
}

func (o *oracle) add(e *Event) {
	if o.c.Kind == Session {
		o.session(e)
	} else {
		every := o.c.Every
		if o.c.Kind == Tumbling {
			every = o.c.Size
		}
		for start := e.At - 100; start <= e.At; start++ {
			if mod(start, every) == 0 && e.At < start+o.c.Size {
				o.take(e, start, start+o.c.Size)
			}
		}
	}
	o.advance(min(e.At, e.Recorded) - o.c.Delay)
}

func (o *oracle) take(e *Event, start, end int64) {
	i := slices.IndexFunc(o.all, func(w *known) bool { return w.key == e.Key && w.start == start })
	switch {
	case end+o.c.Grace <= o.watermark && i < 0:
		o.tooLate(e, &known{key: e.Key, start: start, end: end})
	case i < 0:
		o.all = append(o.all, &known{key: e.Key, start: start, end: end, events: []*Event{e}})
	case o.all[i].closings > 0:
		o.tooLate(e, o.all[i])
	default:
		o.all[i].events = append(o.all[i].events, e)
	}
}

func (o *oracle) session(e *Event) {
	end := e.At + o.c.Gap
	merged := &known{key: e.Key, start: e.At, end: end}
	var closed *known
	rest := o.all[:0:0]
	for _, w := range o.all {
		near := w.key == e.Key && e.At < w.end && w.start < end
		if near && w.closings == 0 {
			merged.start, merged.end, merged.events = min(merged.start, w.start), max(merged.end, w.end), append(merged.events, w.events...)
			continue
		}
		rest = append(rest, w)
		if near && !o.forgotten(w.end) && (closed == nil || w.start < closed.start) {
			closed = w
		}
	}
	switch {
	case closed != nil:
		o.tooLate(e, closed)
	case len(rest) == len(o.all) && end+o.c.Grace <= o.watermark:
		o.tooLate(e, merged)
	default:
		merged.events = append(merged.events, e)
		o.all = append(rest, merged)
	}
}

func (o *oracle) forgotten(end int64) bool {
	keep := int64(0)
	if o.c.Late == Update {
		keep = o.c.Keep
	}
	if o.c.Kind == Session {
		keep = max(keep, o.c.Gap)
	}
	return end+o.c.Grace+keep <= o.watermark
}

func (o *oracle) tooLate(e *Event, w *known) {
	o.late++
	if o.c.Late != Update || o.forgotten(w.end) {
		if o.dropped++; o.c.Late == Side {
			o.out = append(o.out, fmt.Sprintf("%d missed [%d,%d)", e.Position, w.start, w.end))
		}
		return
	}
	if !slices.Contains(o.all, w) {
		o.all = append(o.all, w)
	}
	w.late++
	w.events = append(w.events, e)
	o.close(w)
}

func (o *oracle) advance(watermark int64) {
	o.watermark = max(o.watermark, watermark)
	for _, w := range o.all {
		if w.closings == 0 && w.end+o.c.Grace <= o.watermark {
			o.close(w)
		}
	}
}

func (o *oracle) close(w *known) {
	slices.SortFunc(w.events, func(a, b *Event) int { return int(a.Position - b.Position) })
	values := make([]string, len(o.c.Values))
	for i, op := range o.c.Values {
		values[i] = naive(op, i, w.events)
	}
	o.out = append(o.out, fmt.Sprintf("%s [%d,%d) revision %d of %d events, %d late, to %d: %s",
		w.key, w.start, w.end, w.closings, len(w.events), w.late, w.events[len(w.events)-1].Position, values))
	w.closings++
}

// naive computes a value from all events, which are in the order of the log.
func naive(op Op, i int, events []*Event) string {
	if op == Count {
		return fmt.Sprint(len(events))
	}
	var there []*Event
	for _, e := range events {
		if e.Operands[i].There {
			there = append(there, e)
		}
	}
	different := make(map[string]bool)
	sum := new(big.Rat)
	var least, most *big.Rat
	for _, e := range there {
		n, _ := new(big.Rat).SetString(e.Operands[i].Number.String())
		sum.Add(sum, n)
		if least == nil || n.Cmp(least) < 0 {
			least = n
		}
		if most == nil || n.Cmp(most) > 0 {
			most = n
		}
		different[e.Operands[i].Text] = true
	}
	switch {
	case op == Sum:
		return exact(sum)
	case op == Distinct:
		return fmt.Sprint(len(different))
	case len(there) == 0:
		return "null"
	case op == Avg:
		return short(sum.Quo(sum, big.NewRat(int64(len(there)), 1)))
	case op == Min:
		return exact(least)
	case op == Max:
		return exact(most)
	}
	slices.SortStableFunc(there, func(a, b *Event) int { return int(a.At - b.At) })
	if op == First {
		return there[0].Operands[i].Text
	}
	return there[len(there)-1].Operands[i].Text
}

// exact writes a number of at most 20 digits behind the point.
func exact(r *big.Rat) string {
	return strings.TrimRight(strings.TrimRight(r.FloatString(20), "0"), ".")
}

// short writes a number to 12 digits behind the point, half to even.
func short(r *big.Rat) string {
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(power(12)))
	q, m := new(big.Int).DivMod(scaled.Num(), scaled.Denom(), new(big.Int)) // m >= 0
	switch c := new(big.Int).Lsh(m, 1).Cmp(scaled.Denom()); {
	case c > 0, c == 0 && q.Bit(0) == 1:
		q.Add(q, big.NewInt(1))
	}
	text := new(big.Rat).SetFrac(q, power(12)).FloatString(12)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".")
}

// TestNumbers are exact, or refused.
func TestNumbers(t *testing.T) {
	t.Parallel()
	var sum Decimal
	for range 1000 {
		d, err := ParseDecimal("0.1")
		if err != nil {
			t.Fatal(err)
		}
		sum.add(&d)
	}
	if sum.String() != "100" {
		t.Errorf("a thousand times 0.1 is %s", sum)
	}
	for _, text := range []string{"1e61", "1e-61", "1e999999999999", strings.Repeat("9", 62), "0." + strings.Repeat("1", 61)} {
		if d, err := ParseDecimal(text); err == nil {
			t.Errorf("%s is %s, want an error", text, d)
		}
	}
	for _, text := range []string{"1e59", "1e-60", strings.Repeat("9", 60), "-0." + strings.Repeat("1", 60)} {
		d, err := ParseDecimal(text)
		var back Decimal
		if err == nil {
			err = back.UnmarshalText([]byte(d.String()))
		}
		if err != nil || back.cmp(&d) != 0 {
			t.Errorf("%s is %s, and %s again: %v", text, d, back, err)
		}
	}
}
