package sagas_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/sagas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type orderData struct {
	Lines []string
	Paid  string
}

type steps = *sagas.Steps[orderData]

type placed struct{ ID string }

func do(orderData) sagas.Command { return sagas.Command{Name: "do"} }

func call(context.Context, sagas.Call, *orderData) error { return nil }

func aPay(s steps) { s.Call("pay", call) }

// TestCheck has a definition for each mistake, and one that has none.
func TestCheck(t *testing.T) {
	t.Parallel()
	const long = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"
	about := func(placed) string { return "" }
	for _, c := range []struct {
		name  string
		steps func(s steps)
		// want are the mistakes, by a part of each.
		want []string
	}{
		{"none", func(s steps) {
			sagas.StartWith(s, func(p placed) (string, orderData) { return p.ID, orderData{} })
			s.Command("reserve", do).Undo(do).Within(time.Minute)
			s.Each("ship_all", func(d orderData) int { return len(d.Lines) }, func(s steps, _ int) {
				s.Choose("how", sagas.When("paid", func(d orderData) bool { return d.Paid != "" }, aPay), sagas.Otherwise[orderData](nil))
				s.Each("boxes", func(orderData) int { return 2 }, func(s steps, _ int) { s.Call("ship", call).UndoCall(call) }, sagas.Items{AtOnce: 1})
			}, sagas.Items{})
			s.Try("try", func(s steps) { s.Ask("approve", nil) }, sagas.On(func(s steps) { s.Fail("no", "no", "") }, "a"), sagas.On[orderData](nil))
			s.Wait("wait", time.Hour)
			sagas.Receive(s, "receive", about, nil)
		}, nil},
		{"no steps", func(steps) {}, []string{"it has no steps"}},
		{"names", func(s steps) { s.Call("Pay", call); s.Call("pay[1]", call); s.Call(long, call) }, []string{`name "Pay"`, `name "pay[1]"`, `name "` + long}},
		{"a name twice", func(s steps) { aPay(s); aPay(s) }, []string{`two steps are called "pay"`}},
		{"a name in two ways", func(s steps) { s.All("both", aPay, aPay) }, []string{`two steps are called "pay"`}},
		{"a name in and behind items", func(s steps) {
			s.Each("each", func(orderData) int { return 1 }, func(s steps, _ int) { aPay(s) }, sagas.Items{})
			aPay(s)
		}, []string{`two steps are called "pay"`}},
		{"the name of ways is a step's", func(s steps) { s.All("pay", aPay) }, []string{`two steps are called "pay"`}},
		{"steps that differ", func(s steps) {
			s.Each("each", func(orderData) int { return 1 }, func(s steps, i int) { s.Call("pay_"+string(rune('a'+i)), call) }, sagas.Items{})
		}, []string{`the steps of item 0 are ["pay_a"], those of item 1 ["pay_b"]`}},
		{"items", func(s steps) { s.Each("each", nil, nil, sagas.Items{AtOnce: -1, Tolerated: -1}) },
			[]string{"no function that says how many", "no steps for its items", "must not be negative"}},
		{"quorum", func(s steps) {
			s.Quorum("a", 0, aPay)
			s.Quorum("b", 2, func(s steps) { s.Call("c", call) })
			s.Any("d")
		},
			[]string{`"a": 0 of 1 ways`, `"b": 2 of 1 ways`, `"d": 1 of 0 ways`}},
		{"a way without steps", func(s steps) { s.All("both", aPay, func(steps) {}) }, []string{`"both": way 2 has no steps`}},
		{"choose", func(s steps) {
			s.Choose("none")
			s.Choose("late", sagas.Otherwise(aPay), sagas.When("w", nil, func(steps) {}))
		}, []string{`"none" has no ways`, "behind Otherwise", `way "w" has no condition`}},
		{"try", func(s steps) { s.Try("try", nil) }, []string{"tries no steps", "catches nothing"}},
		{"catches", func(s steps) { s.Try("try", aPay, sagas.On[orderData](nil), sagas.On[orderData](nil, "")) },
			[]string{"behind an On for all codes", "without a code"}},
		{"functions", func(s steps) {
			s.Command("a", nil)
			s.Call("b", nil).Undo(nil)
			s.WaitUntil("c", nil)
			sagas.Receive[placed](s, "d", nil, nil)
			sagas.StartWith[placed](s, nil)
		}, []string{`"a" has no function`, `"b" has no function`, `"b" has no function that says how it is undone`, `"c" has no function`, `"d" has no function`, "no function begins"}},
		{"undo", func(s steps) { s.Call("a", call).Undo(do).UndoCall(call); sagas.Receive(s, "b", about, nil).Undo(do) },
			[]string{`"a" is undone in two ways`, `"b" waits for an event, and there is nothing to undo`}},
		{"times", func(s steps) {
			s.Call("a", call).Within(0).Attempts(sagas.Attempts{Max: -1})
			s.Wait("b", -time.Second)
		}, []string{`"a": its time`, `"a": its attempts`, `"b": its time`}},
		{"heartbeat", func(s steps) {
			s.HTTP("a", sagas.Request{HTTPTarget: delivery.HTTPTarget{URL: "https://example.com/"}}, func(orderData) any { return nil }, nil).Heartbeat(time.Second)
		}, []string{`"a": only a call can say that it is alive`}},
		{"fail", func(s steps) { s.Fail("a", "", "") }, []string{"fails without a code"}},
		{"before the start", func(s steps) { s.BeforeStart("keep"); aPay(s) }, []string{`no "keep", only buffer, drop and dead`}},
	} {
		wantMistakes(t, c.name, sagas.Define("checkout", 1, c.steps).Check(), c.want)
	}
	wantMistakes(t, "the saga", sagas.Define("Check-out", 0, aPay).Check(), []string{"48 bytes", "its version is 0"})
	wantMistakes(t, "no struct", sagas.Define("a", 1, func(*sagas.Steps[[]int]) {}).Check(), []string{"its data are []int"})
	wantMistakes(t, "no object", sagas.Define("a", 1, func(s *sagas.Steps[time.Time]) {}).Check(), []string{"must be an object as JSON"})
}

func wantMistakes(t *testing.T, name string, err error, want []string) {
	t.Helper()
	var got []string
	if err != nil {
		got = strings.Split(err.Error(), "\n")
	}
	if len(got) != len(want) {
		t.Errorf("%s: the mistakes are\n%v\nwant %d: %q", name, err, len(want), want)
	}
	for _, part := range want {
		if !slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, part) }) {
			t.Errorf("%s: the mistakes are\n%v\nwant %q", name, err, part)
		}
	}
}
