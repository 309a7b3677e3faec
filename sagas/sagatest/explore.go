package sagatest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime/debug"

	"github.com/57528e99/recount/sagas"
)

// Exploration says what Explore tries. The zero value begins instances without data, whose steps change nothing.
type Exploration[D any] struct {
	// Begin returns the data of an instance.
	Begin func(*rand.Rand) D
	// Start returns an event that an instance begins with, instead of Begin.
	Start func(*rand.Rand) any
	// Events are those that may come, for the instance of Start, or for instance "1" of Begin. Each may come often.
	Events func(*rand.Rand) []any
	// Changes are what steps do to the data when they are done, by their names without an index.
	Changes map[string]func(*rand.Rand, *D)
	// Codes are those with which steps fail, beside those of package sagas.
	Codes map[string][]string
	// Check judges an instance when all is over.
	Check func(End[D]) error
	// Runs is how many instances there are. Default: 300.
	Runs int
	// Seed, if not 0, is that of the only run, as a failure says it.
	Seed uint64
}

// End is how an instance has ended, when nothing is open any more.
type End[D any] struct {
	sagas.Instance
	Data D
	// Happened are the steps that have come about, or may have, and were not undone, in the order in which they began.
	Happened []string
	// Undone are those that were undone, in that order.
	Undone []string
}

// Explore lets instances of a saga live in orders by chance: steps are done, fail, pass their deadlines, answer late or twice; events come early, often and
// after the end; somebody cancels, skips, retries. After each of these it checks the rules of package sagas, and that your functions make commands of the data
// without a panic. Of the runs that break one it reports the shortest, with its history and its seed.
func Explore[D any](t TB, s *sagas.Saga, x Exploration[D]) {
	t.Helper()
	if err := s.Check(); err != nil {
		t.Errorf("the definition is wrong: %v", err)
		return
	}
	first, last := uint64(1), uint64(300)
	if x.Runs > 0 {
		last = uint64(x.Runs)
	}
	if x.Seed > 0 {
		first, last = x.Seed, x.Seed
	}
	var shortest *failure
	for seed := first; seed <= last; seed++ {
		if f := x.run(s, seed); f != nil && (shortest == nil || len(f.events) < len(shortest.events)) {
			shortest = f
		}
	}
	if shortest != nil {
		t.Errorf("%v", shortest)
	}
}

// failure is a run that broke a rule.
type failure struct {
	*violation
	seed   uint64
	events []sagas.Event
}

func (f *failure) Error() string {
	return fmt.Sprintf("%v\nseed %d, history:%s", f.violation, f.seed, History(f.events))
}

// try lets a world live and returns how it breaks a rule; nil: it does not.
func (w *world) try(seed uint64, live func()) (f *failure) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case *violation:
			f = &failure{p, seed, w.events}
		default:
			f = &failure{&violation{"no function panics", fmt.Sprintf("%v\n%s", p, debug.Stack())}, seed, w.events}
		}
	}()
	live()
	return nil
}

func (x Exploration[D]) run(s *sagas.Saga, seed uint64) *failure {
	rng := rand.New(rand.NewPCG(seed, 0))
	w := &world{judge: newJudge(s), rng: rng, id: "1", terminates: seed%8 == 0}
	w.codes = func(step string) []string { return x.Codes[nameOf(step)] }
	w.changes = func(step string) map[string]json.RawMessage {
		change := x.Changes[nameOf(step)]
		if change == nil {
			return nil
		}
		changes, err := sagas.Changed(w.i.DataOf(step), func(d *D) error {
			change(rng, d)
			return nil
		})
		if err != nil {
			w.violated(ruleAsks, "the data are no %T: %v", *new(D), err)
		}
		return changes
	}
	w.message = func(typeOf string) (sagas.Input, bool) {
		if x.Events == nil {
			return nil, false
		}
		all := x.Events(rng)
		for _, at := range rng.Perm(len(all)) {
			in, id, err := s.InputOf(all[at], w.uuid())
			if err != nil {
				w.violated(ruleAsks, "%T: %v", all[at], err)
			}
			if id == w.id && (typeOf == "" || typeOfMessage(in) == typeOf) {
				return in, true
			}
		}
		return nil, false
	}
	w.begin = func() sagas.Input { return sagas.Begin{ID: w.id} }
	return w.try(seed, func() {
		switch {
		case x.Start != nil:
			in, id, err := s.InputOf(x.Start(rng), w.uuid())
			if err != nil || in == nil {
				w.violated(ruleAsks, "no instance begins: %v", err)
			}
			w.id, w.begin = id, func() sagas.Input { return in }
		case x.Begin != nil:
			data, err := dataOf(x.Begin(rng))
			if err != nil {
				w.violated(ruleAsks, "the data: %v", err)
			}
			w.begin = func() sagas.Input { return sagas.Begin{ID: w.id, Data: data} }
		}
		w.live(rng.IntN(60))
		w.settle()
		if x.Check == nil {
			return
		}
		end := End[D]{Instance: w.i, Undone: undone(w.events)}
		if err := json.Unmarshal(textOf(w.i.Data), &end.Data); err != nil {
			w.violated(ruleAsks, "the data are no %T: %v", end.Data, err)
		}
		for _, name := range w.names {
			if w.facts[name].happened() {
				end.Happened = append(end.Happened, name)
			}
		}
		if err := x.Check(end); err != nil {
			w.violated(ruleOwn, "%v", err)
		}
	})
}

func typeOfMessage(in sagas.Input) string {
	switch in := in.(type) {
	case sagas.Begin:
		return in.Message.Type
	case sagas.Tell:
		return in.Message.Type
	}
	return ""
}

// nameOf returns the name of a step without the index of the item.
func nameOf(step string) string {
	for at := range step {
		if step[at] == '[' {
			return step[:at]
		}
	}
	return step
}

func dataOf(data any) (m map[string]json.RawMessage, err error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	return m, json.Unmarshal(text, &m)
}
