package commandtest

import (
	"math"
	"math/big"
	"net/netip"
	"reflect"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/57528e99/recount/commands"
)

// state holds all that can be shared by mistake.
type state struct {
	List    []int
	Head    []int // shares the array of List
	Texts   []string
	Times   []time.Time
	Parts   []part
	Counts  map[string]int
	Lists   map[string][]int
	Pointer *part
	Any     any
	Fixed   [2][]int
	hidden  inner
	At      time.Time
	Addr    netip.Addr
	Big     *big.Int
	Self    *state
	Tier    *part
	Rule    func()
}

type part struct {
	N    int
	More []int
}

type inner struct{ counts map[string]int }

// gold is compared by identity, so code under test must be given this very one.
var gold = &part{N: 1}

func newState() state {
	s := state{
		List: []int{1, 2}, Texts: []string{"a"}, Times: []time.Time{{}}, Parts: []part{{N: 1, More: []int{2}}},
		Counts: map[string]int{"a": 1}, Lists: map[string][]int{"a": {1}},
		Pointer: &part{N: 1, More: []int{1}}, Any: []int{1}, Fixed: [2][]int{{1}, {2}},
		hidden: inner{counts: map[string]int{"a": 1}},
		At:     time.Now(), Addr: netip.MustParseAddr("fe80::1%eth0"), Big: big.NewInt(7), Tier: gold, Rule: func() {},
	}
	s.Head = s.List[:1]
	s.Self = &state{List: []int{9}}
	s.Self.Self = s.Self
	return s
}

// effect is an event that does what a test says.
type effect struct {
	Do   func(state, []int) state
	Data []int
}

func (e effect) Evolve(s state) state { return e.Do(s, e.Data) }

// start is the first event of each history here.
type start struct{}

func (start) Evolve(state) state { return newState() }

type stateEvent = commands.Event[state]

func TestEvolveThatWritesIsCaught(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(s state, data []int) state
		at   string
	}{
		{"append", func(s state, _ []int) state { s.List = append(s.List, 3); return s }, ".State.List[2] (spare capacity): 90 became 3"},
		{"append of a zero", func(s state, _ []int) state { s.List = append(s.List, 0); return s }, ".State.List[2] (spare capacity)"},
		{"append of an empty struct value", func(s state, _ []int) state { s.Parts = append(s.Parts, part{}); return s }, ".State.Parts[1] (spare capacity)"},
		{"append of an empty string", func(s state, _ []int) state { s.Texts = append(s.Texts, ""); return s }, ".State.Texts[1] (spare capacity)"},
		{"append of a zero time", func(s state, _ []int) state { s.Times = append(s.Times, time.Time{}); return s }, ".State.Times[1] (spare capacity)"},
		{"append over a shared array", func(s state, _ []int) state { s.Head = append(s.Head, 3); return s }, ".State.Head[1] (spare capacity): 90 became 3"},
		{"element", func(s state, _ []int) state { s.List[0] = 7; return s }, ".State.List[0]: 1 became 7"},
		{"sort", func(s state, _ []int) state { sort.Sort(sort.Reverse(sort.IntSlice(s.List))); return s }, ".State.List[0]: 1 became 2"},
		{"delete from a slice", func(s state, _ []int) state { s.List = slices.Delete(s.List, 0, 1); return s }, ".State.List[0]"},
		{"map", func(s state, _ []int) state { s.Counts["b"] = 2; return s }, `.State.Counts["b"]: nothing became 2`},
		{"value in a map", func(s state, _ []int) state { s.Counts["a"]++; return s }, `.State.Counts["a"]: 1 became 2`},
		{"delete from a map", func(s state, _ []int) state { clear(s.Counts); return s }, `.State.Counts["a"]: 1 became nothing`},
		{"slice in a map", func(s state, _ []int) state { s.Lists["a"][0]++; return s }, `.State.Lists["a"][0]`},
		{"append in a map", func(s state, _ []int) state { _ = append(s.Lists["a"], 5); return s }, `.State.Lists["a"][1] (spare capacity)`},
		{"slice in a struct in a slice", func(s state, _ []int) state { s.Parts[0].More[0]++; return s }, ".State.Parts[0].More[0]"},
		{"pointer", func(s state, _ []int) state { s.Pointer.N = 5; return s }, ".State.Pointer.N: 1 became 5"},
		{"append behind a pointer", func(s state, _ []int) state { s.Pointer.More = append(s.Pointer.More, 5); return s }, ".State.Pointer.More: 1 elements became 2 elements"},
		{"interface", func(s state, _ []int) state { s.Any.([]int)[0] = 5; return s }, ".State.Any[0]"},
		{"array of slices", func(s state, _ []int) state { s.Fixed[1][0] = 5; return s }, ".State.Fixed[1][0]"},
		{"unexported map", func(s state, _ []int) state { s.hidden.counts["a"] = 5; return s }, ".State.hidden.counts"},
		{"in a cycle", func(s state, _ []int) state { s.Self.Self.List[0] = 5; return s }, ".State.Self.List[0]"},
		{"big number", func(s state, _ []int) state { s.Big.Add(s.Big, s.Big); return s }, ".State.Big"},
		{"event's own data", func(s state, data []int) state { slices.Reverse(data); s.List = data; return s }, ".Event.Data[0]: 5 became 6"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			Given[state, stateEvent](r, start{}, effect{c.do, []int{5, 6}})
			r.wantReport(t, "Evolve of commandtest.effect writes into", c.at, "slices.Clip before append")
		})
	}
}

func TestEvolveThatClonesPasses(t *testing.T) {
	t.Parallel()
	Given[state, stateEvent](t, start{}, effect{func(s state, data []int) state {
		s.List = append(slices.Clip(s.List), data...)
		s.Lists = map[string][]int{"b": s.Lists["a"]}
		s.Pointer = &part{N: s.Pointer.N + 1, More: slices.Concat(s.Pointer.More, data)}
		s.Fixed[0] = nil
		s.Counts = nil
		s.At = s.At.Add(time.Hour)
		s.Big = new(big.Int).Add(s.Big, s.Big)
		s.Self = nil
		return s
	}, []int{5}})
}

// Checking must not change what the code under test sees.
func TestStateIsGivenAsItIs(t *testing.T) {
	t.Parallel()
	seen := 0
	Given[state, stateEvent](t, start{}, effect{Do: func(s state, _ []int) state {
		if s.Tier == gold {
			seen++
		}
		if s.Addr != netip.MustParseAddr("fe80::1%eth0") || s.At.Location() != time.Local {
			t.Errorf("address %v, location %v: changed by copying", s.Addr, s.At.Location())
		}
		return s
	}})
	if seen != 1 {
		t.Errorf("%d calls saw the pointer itself, want that of the real run", seen)
	}
}

// order is a Decide that does what a test says.
type order struct {
	Do   func(state, []int) ([]stateEvent, error)
	Data []int
}

func (c order) Decide(s state) ([]stateEvent, error) { return c.Do(s, c.Data) }

func TestDecideThatWritesIsCaught(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(s state, data []int) ([]stateEvent, error)
		at   string
	}{
		{"state", func(s state, _ []int) ([]stateEvent, error) { s.Counts["b"] = 1; return nil, nil }, `.State.Counts["b"]`},
		{"state, then refuses", func(s state, _ []int) ([]stateEvent, error) { s.List[0]++; return nil, errOther }, ".State.List[0]"},
		{"command", func(_ state, data []int) ([]stateEvent, error) { slices.Sort(data); return nil, nil }, ".Command.Data[0]: 6 became 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := &recorder{}
			Given[state, stateEvent](r, start{}).When(order{c.do, []int{6, 5}})
			r.wantReport(t, "Decide of commandtest.order writes into", c.at)
		})
	}
}

// An event is evolved in the scenario that decides it, not only in one that is
// given it.
func TestEvolveOfDecidedEventsIsChecked(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	Given[state, stateEvent](r, start{}).When(order{Do: func(state, []int) ([]stateEvent, error) {
		return []stateEvent{effect{Do: func(s state, _ []int) state { s.Counts["b"]++; return s }}}, nil
	}})
	r.wantReport(t, "Evolve of commandtest.effect")
}

func TestCopyIsEqualAndApart(t *testing.T) {
	t.Parallel()
	s := newState()
	s.Rule = nil
	c := deepCopy(s)
	if !reflect.DeepEqual(s, c) {
		t.Errorf("copy differs: %v", compare(s, c, "%s is %s"))
	}
	if c.Pointer == s.Pointer || &c.List[0] == &s.List[0] {
		t.Error("the copy shares memory with what was copied")
	}
	if c.Self.Self != c.Self {
		t.Error("the copy has lost a cycle")
	}
}

func TestCompareTellsSlicesOfOneArrayApart(t *testing.T) {
	t.Parallel()
	a, b := []int{1, 2, 3}, []int{1, 2, 4}
	got := compare([][]int{a[:2], a}, [][]int{b[:2], b}, "%s, %s")
	if len(got) != 1 || got[0] != "[1][2]: 3, 4" {
		t.Errorf("compare = %q, want one difference at [1][2]", got)
	}
}

func TestCompareBoundsWhatItPrints(t *testing.T) {
	t.Parallel()
	a, b := make([]float64, 100), make([]float64, 100)
	for i := range b {
		a[i], b[i] = math.NaN(), math.NaN()
	}
	if got := compare(a, b, "%s %s"); len(got) != 0 {
		t.Errorf("NaNs differ: %v", got)
	}
	for i := range b {
		b[i] = 1
	}
	got := compare(a, b, "%s, %s")
	if len(got) != maxDifferences+1 || got[maxDifferences] != "and 90 more" {
		t.Errorf("compare = %q", got)
	}
}
