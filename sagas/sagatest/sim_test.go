package sagatest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/sagas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	simRuns = flag.Int("sagas.runs", 0, "how many instances TestSimulation runs (0: 20,000, 1,500 if short)")
	simSeed = flag.Uint64("sagas.seed", 0, "the only run of TestSimulation (0: all)")
)

// isMutant says that package trials runs this with a bug in the product.
var isMutant = os.Getenv("RECOUNT_TRIAL_MUTANT") != ""

// TestSimulation runs instances of definitions that are made by chance, and lets everything happen to them in any order. What must never
// happen is in the calls of violated; package trials puts bugs into package sagas and sees that it notices.
func TestSimulation(t *testing.T) {
	first, last := uint64(1), uint64(20_000)
	switch {
	case *simSeed > 0:
		first, last = *simSeed, *simSeed
	case *simRuns > 0:
		last = uint64(*simRuns)
	case testing.Short():
		last = 1500
	case isMutant:
		last = 4000
	}
	began, ends, events := time.Now(), make(map[sagas.Status]int), 0
	reported := make(map[string]bool)
	for seed := first; seed <= last; seed++ {
		w, root, f := simulate(seed)
		events += len(w.events)
		ends[w.end]++
		if f == nil || reported[f.rule] {
			continue
		}
		if reported[f.rule] = true; isMutant {
			fmt.Printf("caught\t%s\t%d\t%s\n", t.Name(), time.Since(began).Milliseconds(), f.rule)
		}
		t.Errorf("%v\n%v\ngo test ./sagas/sagatest -run TestSimulation -sagas.seed %d", f, root, seed)
		if !isMutant {
			break
		}
	}
	t.Logf("%d events, ends %v", events, ends)
	for _, end := range []sagas.Status{sagas.Completed, sagas.Failed, sagas.Cancelled, sagas.Terminated} {
		if first != last && !t.Failed() && ends[end] < int(last-first)/200 {
			t.Errorf("%d of %d instances end %s: the simulation does not see enough of them", ends[end], last-first+1, end)
		}
	}
}

// simulate runs an instance of a definition.
func simulate(seed uint64) (*world, []part, *failure) {
	rng := rand.New(rand.NewPCG(seed, 1))
	root := (&maker{rng: rng}).sequence(3)
	s := sagas.Define("simulated", 1, func(b *sagas.Steps[data]) {
		sagas.CancelWith(b, func(eventC) (id, reason string) { return "1", "an event says so" })
		build(b, root)
	})
	w := &world{judge: newJudge(s), rng: rng, id: "1", terminates: seed%4 == 0}
	number := 0
	w.changes = func(step string) map[string]json.RawMessage {
		number++
		return map[string]json.RawMessage{nameOf(step): json.RawMessage(fmt.Sprint(number))}
	}
	w.codes = func(string) []string { return []string{"a", "b"} }
	w.message = func(typeOf string) (sagas.Input, bool) {
		if typeOf == "" {
			typeOf = []string{"sagatest.eventA", "sagatest.eventB", "sagatest.other", "sagatest.eventC"}[rng.IntN(31)/10]
		}
		return sagas.Tell{ID: "1", Message: sagas.Message{ID: w.uuid(), Type: typeOf, Data: json.RawMessage(`{}`)}}, true
	}
	w.begin = func() sagas.Input {
		return sagas.Begin{ID: "1", Data: map[string]json.RawMessage{"n": json.RawMessage(fmt.Sprint(rng.IntN(4)))}}
	}
	w.after = func() { look(w.judge, root) }
	return w, root, w.try(seed, func() {
		if err := s.Check(); err != nil {
			w.violated(ruleAsks, "%v", err)
		}
		w.live(rng.IntN(50))
		w.settle()
	})
}

type data map[string]int

type (
	eventA struct{}
	eventB struct{}
	eventC struct{}
)

// maker makes definitions by chance.
type maker struct {
	rng   *rand.Rand
	steps int
}

func (m *maker) sequence(depth int) (s []part) {
	for range 1 + m.rng.IntN(3) {
		s = append(s, m.part(depth))
	}
	return s
}

func (m *maker) part(depth int) part {
	m.steps++
	p := part{name: fmt.Sprintf("s%d", m.steps)}
	if depth > 0 && m.steps < 25 && m.rng.IntN(100) < 45 {
		p.kind = []string{"quorum", "quorum", "try", "try", "each", "choose"}[m.rng.IntN(6)]
		ways := 1
		if p.kind != "each" {
			ways += m.rng.IntN(3)
		}
		if p.kind == "try" && ways == 1 {
			ways = 2
		}
		for range ways {
			p.ways = append(p.ways, m.sequence(depth-1))
		}
		p.enough, p.atOnce, p.tolerated = 1+m.rng.IntN(ways), m.rng.IntN(3), m.rng.IntN(2)
		if p.kind == "try" {
			for range ways - 2 {
				p.codes = append(p.codes, [][]string{{"a"}, {"b", sagas.CodeDeadline}, {sagas.CodeRejected, sagas.CodeExhausted}}[m.rng.IntN(3)])
			}
			p.codes = append(p.codes, [][]string{nil, {"a", "b"}}[m.rng.IntN(2)])
		}
		return p
	}
	p.kind = []string{"command", "command", "call", "call", "call", "answer", "person", "receive", "receive within", "wait", "fail", "on undo"}[m.rng.IntN(12)]
	switch p.kind {
	case "command", "call", "answer", "person":
		p.undo = m.rng.IntN(3) > 0
	case "on undo":
		p.undo = true
	case "fail":
		p.code = []string{"a", "b"}[m.rng.IntN(2)]
	}
	return p
}

// build adds parts to a definition.
func build(b *sagas.Steps[data], s []part) {
	command := func(data) sagas.Command { return sagas.Command{Name: "do"} }
	call := func(context.Context, sagas.Call, *data) error { return errors.New("the simulation calls nothing") }
	for _, p := range s {
		ways := make([]func(*sagas.Steps[data]), len(p.ways))
		for i, way := range p.ways {
			ways[i] = func(b *sagas.Steps[data]) { build(b, way) }
		}
		var step *sagas.StepOf[data]
		switch p.kind {
		case "command":
			step = b.Command(p.name, command)
		case "call":
			step = b.Call(p.name, call)
		case "answer":
			step = b.Ask(p.name, call)
		case "person":
			step = b.Ask(p.name, nil)
		case "receive":
			sagas.Receive(b, p.name, func(eventA) string { return "1" }, func(d *data, _ eventA) { (*d)[p.name] = 1 })
		case "receive within":
			sagas.Receive(b, p.name, func(eventB) string { return "1" }, nil).Within(time.Hour)
		case "wait":
			b.WaitUntil(p.name, func(now time.Time, d data) time.Time { return now.Add(time.Duration(d["n"]) * time.Minute) })
		case "on undo":
			b.OnUndo(p.name, command)
		case "fail":
			b.Fail(p.name, p.code, "it is to fail")
		case "choose":
			all := []sagas.Way[data]{}
			for i, way := range ways {
				all = append(all, sagas.When(fmt.Sprint(i), func(d data) bool { return d["n"] == i }, way))
			}
			b.Choose(p.name, all...)
		case "quorum":
			b.Quorum(p.name, p.enough, ways...)
		case "each":
			b.Each(p.name, func(d data) int { return d["n"] }, func(b *sagas.Steps[data], _ int) { build(b, p.ways[0]) },
				sagas.Items{AtOnce: p.atOnce, Tolerated: p.tolerated})
		case "try":
			var catches []sagas.Catch[data]
			for i, codes := range p.codes {
				catches = append(catches, sagas.On(ways[i+1], codes...))
			}
			b.Try(p.name, ways[0], catches...)
		}
		if step != nil && p.undo {
			if p.kind == "call" {
				step.UndoCall(call)
			} else {
				step.Undo(command)
			}
		}
	}
}
