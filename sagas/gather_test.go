package sagas

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
)

var gatherBegan = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

var gather = Gather()

// group is one that is gathered, without a log.
type group struct {
	saga *Saga
	i    Instance
	now  time.Time
	// results are those that were appended.
	results []Gathered
	began   gathering
}

func newGroup(parts ...string) *group {
	return &group{saga: gather, now: gatherBegan, began: gathering{
		ID: "pay:1", Subscription: "pay", Correlate: "1", Parts: parts, Count: 3, Timeout: time.Minute, Type: "Paid", Stream: "paid-1",
	}}
}

// put gives the group an input, and does the step that appends its result, as an Engine does.
func (g *group) put(in Input) error {
	events, err := g.saga.Decide(g.i, in, g.now)
	if err != nil {
		return err
	}
	for _, e := range events {
		g.i = e.Evolve(g.i)
	}
	s, begun := g.i.Step(stepResult)
	if !begun || s.Status != Open {
		return nil
	}
	c, err := g.saga.find(stepResult).do.command(g.i.Data)
	if err != nil {
		return err
	}
	var result Gathered
	if err := json.Unmarshal(c.Command.(appending).event.Data, &result); err != nil {
		return err
	}
	g.results = append(g.results, result)
	return g.put(Complete{Step: stepResult, Number: s.Number})
}

func (g *group) tell(id byte, part string) (became string, err error) {
	err = g.put(gathered{begin: g.began, message: uuid.UUID{id}, part: part, data: json.RawMessage(map[bool]string{true: "null", false: fmt.Sprint(id)}[id == 3]), became: &became})
	return became, err
}

// timeUp lets the time of the group be over.
func (g *group) timeUp() error {
	g.now = g.now.Add(time.Hour)
	s, begun := g.i.Step("timeout")
	if !begun {
		return nil
	}
	return g.put(TimeUp{Step: "timeout", Number: s.Number})
}

// permutations calls do with each order of so many things.
func permutations(n int, do func([]int)) {
	order := make([]int, 0, n)
	var next func()
	next = func() {
		if len(order) == n {
			do(order)
		}
		for i := range n {
			if !slices.Contains(order, i) {
				order = append(order, i)
				next()
				order = order[:len(order)-1]
			}
		}
	}
	next()
}

// TestFault15AGroupHasOneResult: an aggregator whose steps end at once must not find twice that all is there, nor wait for ever for one that does
// not come. Three parts, one of them twice with other data, one event twice, and the end of the time come in all orders;
// if short in a third of them.
func TestFault15AGroupHasOneResult(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, named := range []bool{true, false} {
		permutations(6, func(order []int) {
			if tried++; testing.Short() && tried%3 > 0 {
				return
			}
			g := newGroup("a", "b", "c")
			if !named {
				g = newGroup()
			}
			first, inTime, isOver := "", make(map[string]bool), false
			for _, what := range order {
				var err error
				switch what {
				case 5:
					err = g.timeUp()
					isOver = isOver || first != ""
				default:
					part := []string{"a", "b", "c", "a", "b"}[what]
					id := []byte{1, 2, 3, 4, 2}[what] // the last is the event of b again
					if first == "" {
						first = part
					}
					if !isOver {
						inTime[part] = true
					}
					var became string
					wasOver := isOver
					isOver = isOver || len(inTime) == 3
					if became, err = g.tell(id, part); err == nil && wasOver && became == gatherAgain {
						err = errors.New("what comes late is a duplicate")
					}
				}
				if err != nil {
					t.Fatalf("order %v: %v", order, err)
				}
			}
			if !isOver { // the time was over before anything came: it is counted from the first
				if err := g.timeUp(); err != nil {
					t.Fatal(err)
				}
			}
			if problem := g.judge(inTime, named); problem != "" {
				caught(t, "one result for a group, with what came in time", "order %v: %s\n%+v", order, problem, g.results)
			}
		})
	}
}

func (g *group) judge(inTime map[string]bool, named bool) string {
	if len(g.results) != 1 {
		return fmt.Sprintf("it has %d results, want 1", len(g.results))
	}
	r := g.results[0]
	for _, part := range []string{"a", "b", "c"} {
		if (r.Parts[part] != nil) != inTime[part] || named && slices.Contains(r.Missing, part) == inTime[part] {
			return fmt.Sprintf("part %s came in time: %v", part, inTime[part])
		}
	}
	if r.TimedOut != (len(inTime) < 3) || r.Expected != 3 || g.i.Status != Completed {
		return fmt.Sprintf("of %d parts came %d, and it is %s", 3, len(inTime), g.i.Status)
	}
	return ""
}

// caught reports that a promise is broken, to whoever has put a bug into the product too.
func caught(t *testing.T, rule, format string, args ...any) {
	t.Helper()
	if os.Getenv("RECOUNT_TRIAL_MUTANT") != "" {
		fmt.Printf("caught\t%s\t0\t%s\n", t.Name(), rule)
	}
	t.Fatalf(rule+": "+format, args...)
}

// TestWhatComesForAGroupTooOften is recorded some times, and changes nothing.
func TestWhatComesForAGroupTooOften(t *testing.T) {
	t.Parallel()
	g := newGroup("a", "b", "c")
	for n := range 255 {
		if _, err := g.tell(byte(n+1), "a"); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.i.Seen) != 3+maxExtras || g.i.Status != Running {
		t.Errorf("after 255 events of one part it is %s and keeps %d, want %d", g.i.Status, len(g.i.Seen), 3+maxExtras)
	}
	if err := g.timeUp(); err != nil || len(g.results) != 1 || string(g.results[0].Parts["a"]) != "1" || !slices.Equal(g.results[0].Missing, []string{"b", "c"}) {
		t.Errorf("its result is %+v, %v, want the data of the first a, and that b and c are missing", g.results, err)
	}
}

// TestNamesOfPartsFit: the longest names of the most parts have room, whether their parts come or not.
func TestNamesOfPartsFit(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("\x01", n) } // six bytes each
	g := Gathered{Subscription: strings.Repeat("s", 100), Correlate: long(4096), Expected: delivery.MaxParts}
	if err := g.fits(long(512), json.RawMessage("0")); err != nil {
		t.Error(err)
	}
	for n := range delivery.MaxParts {
		g.Missing = append(g.Missing, fmt.Sprintf("%03d", n)+long(509))
	}
	if text, err := g.encode(); err != nil || len(text) > resultRoom {
		t.Errorf("the result has %d bytes, %v", len(text), err)
	}
}
