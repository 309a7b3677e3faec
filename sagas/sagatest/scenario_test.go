package sagatest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/sagas/sagatest"
)

// order is what the steps of a checkout hand on.
type order struct {
	ID      string
	Lines   []string
	Payment string
}

type (
	orderPlaced    struct{ Order order }
	parcelAccepted struct{ OrderID string }
)

type (
	reserve struct{ Lines []string }
	release struct{}
)

// checkout reserves, pays at one of two gateways, ships each line, and waits for the carrier.
func checkout(pay func(key string) (string, error)) *sagas.Saga {
	return sagas.Define("checkout", 1, func(s *sagas.Steps[order]) {
		sagas.StartWith(s, func(e orderPlaced) (string, order) { return e.Order.ID, e.Order })
		s.Command("reserve", func(o order) sagas.Command {
			return sagas.Command{Name: "stock.reserve", ID: o.ID, Command: reserve{o.Lines}}
		}).
			Undo(func(o order) sagas.Command { return sagas.Command{Name: "stock.release", ID: o.ID, Command: release{}} })
		void := func(_ context.Context, _ sagas.Call, o *order) error {
			if o.Payment == "" {
				return errors.New("nothing to void")
			}
			return nil
		}
		s.Try("charge", func(s *sagas.Steps[order]) {
			s.Call("pay", func(_ context.Context, c sagas.Call, o *order) (err error) {
				o.Payment, err = pay(c.Key)
				return err
			}).UndoCall(void).Within(time.Minute)
		}, sagas.On(func(s *sagas.Steps[order]) {
			s.Ask("pay_by_hand", nil).UndoCall(void)
		}, sagas.CodeDeadline))
		s.Each("ship_all", func(o order) int { return len(o.Lines) }, func(s *sagas.Steps[order], line int) {
			s.Command("ship", func(o order) sagas.Command {
				return sagas.Command{Name: "parcel.ship", ID: o.ID, Command: o.Lines[line]}
			}).
				Undo(func(o order) sagas.Command {
					return sagas.Command{Name: "parcel.stop", ID: o.ID, Command: o.Lines[line]}
				})
		}, sagas.Items{AtOnce: 1})
		sagas.Receive(s, "accepted", func(e parcelAccepted) string { return e.OrderID }, nil).Within(48 * time.Hour)
	})
}

var placed = orderPlaced{order{ID: "1", Lines: []string{"cup", "pot"}}}

func TestScenario(t *testing.T) {
	t.Parallel()
	saga := checkout(func(key string) (string, error) { return "p-" + key, nil })
	given := func() *sagatest.Scenario[order] {
		return sagatest.Given[order](t, saga).Tell(placed).ThenOpen("reserve")
	}
	paid := order{"1", []string{"cup", "pot"}, "p-checkout-1/3"}

	given().ThenCommand("reserve", sagas.Command{Name: "stock.reserve", ID: "1", Command: reserve{[]string{"cup", "pot"}}}).
		Done("reserve").ThenOpen("pay").Call("pay").ThenData(paid).
		ThenOpen("ship[0]").Done("ship[0]").ThenCommand("ship[1]", sagas.Command{Name: "parcel.ship", ID: "1", Command: "pot"}).
		Tell(parcelAccepted{"1"}).Done("ship[1]").ThenStatus(sagas.Completed).ThenUndone()

	// All that was done is undone, the last first.
	given().Done("reserve").Call("pay").Done("ship[0]").Fail("ship[1]", sagas.CodeRejected).
		ThenOpen("undo ship[0]").Done("ship[0]").Call("pay").Exhaust("reserve").ThenStatus(sagas.Stuck).
		Act(sagas.Retry, "reserve").ThenCommand("reserve", sagas.Command{Name: "stock.release", ID: "1", Command: release{}}).
		Done("reserve").ThenUndone("ship[0]", "pay", "reserve").ThenFailed(sagas.CodeRejected)

	// Whether a call came about that passed its deadline nobody knows: it is undone, and the way goes on. A wait ends by its deadline.
	given().Done("reserve").Pass(time.Minute).ThenOpen("undo pay", "pay_by_hand").Done("pay").
		Done("pay_by_hand", func(o *order) { o.Payment = "cash" }).Done("ship[0]").Done("ship[1]").Pass(47*time.Hour).ThenOpen("accepted").
		Pass(time.Hour).Done("ship[1]").Done("ship[0]").Done("pay_by_hand").Done("reserve").
		ThenUndone("pay", "ship[1]", "ship[0]", "pay_by_hand", "reserve").ThenFailed(sagas.CodeDeadline)

	// A cancel waits for what is under way. What comes too late is undone with what it has brought.
	given().Done("reserve").Fail("pay", "declined").ThenOpen("undo reserve").Late("pay", func(o *order) { o.Payment = "late" }).
		Done("reserve").ThenOpen("undo pay").Call("pay").ThenFailed("declined")
	given().Act(sagas.Cancel, "").ThenOpen("reserve").Done("reserve").ThenOpen("undo reserve").Done("reserve").ThenStatus(sagas.Cancelled)
}

// recorder is a TB that keeps what is reported.
type recorder struct{ reports []string }

func (*recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.reports = append(r.reports, fmt.Sprintf(format, args...))
}

func TestScenarioReports(t *testing.T) {
	t.Parallel()
	saga := checkout(func(string) (string, error) { return "", errors.New("no line") })
	for _, c := range []struct {
		name string
		do   func(*sagatest.Scenario[order])
		want []string
	}{
		{"what is open", func(s *sagatest.Scenario[order]) { s.ThenOpen("pay") }, []string{"open are reserve, want pay", "history:\n    0 Started", "1 StepScheduled          reserve"}},
		{"a step that is not open", func(s *sagatest.Scenario[order]) { s.Done("pay").Done("pay") }, []string{"step pay is not open, but reserve"}},
		{"a command", func(s *sagatest.Scenario[order]) { s.ThenCommand("reserve", sagas.Command{Name: "x"}) }, []string{"asks for command {Name:stock.reserve", "want {Name:x"}},
		{"a call that fails", func(s *sagatest.Scenario[order]) { s.Done("reserve").Call("pay") }, []string{"no line"}},
		{"an act that is refused", func(s *sagatest.Scenario[order]) { s.Act(sagas.Retry, "reserve") }, []string{"is refused", "step \"reserve\" is open"}},
		{"an event that is nobody's", func(s *sagatest.Scenario[order]) { s.Tell(3) }, []string{"event int is about no instance"}},
		{"an end", func(s *sagatest.Scenario[order]) { s.ThenFailed("x") }, []string{`it is running with code "", want failed with "x"`}},
		{"the undone", func(s *sagatest.Scenario[order]) { s.ThenUndone("x") }, []string{"undone are none, want x"}},
		{"the data", func(s *sagatest.Scenario[order]) { s.ThenData(order{}) }, []string{"the data are {ID:1"}},
		{"late", func(s *sagatest.Scenario[order]) { s.Late("reserve") }, []string{"it cannot be late"}},
	} {
		var r recorder
		c.do(sagatest.Given[order](&r, saga).Tell(placed))
		if len(r.reports) != 1 {
			t.Errorf("%s: reports are %q, want one", c.name, r.reports)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(r.reports[0], want) {
				t.Errorf("%s: the report does not say %q:\n%s", c.name, want, r.reports[0])
			}
		}
	}
}

// TestExplore has a definition that is right, and ones that are wrong only in some orders.
func TestExplore(t *testing.T) {
	t.Parallel()
	x := sagatest.Exploration[order]{
		Start:   func(*rand.Rand) any { return placed },
		Events:  func(*rand.Rand) []any { return []any{parcelAccepted{"1"}, parcelAccepted{"2"}, placed} },
		Changes: map[string]func(*rand.Rand, *order){"pay": func(_ *rand.Rand, o *order) { o.Payment = "p" }},
		Codes:   map[string][]string{"pay": {"declined"}},
		Check: func(end sagatest.End[order]) error {
			if end.Status == sagas.Completed && end.Data.Payment == "" && !slices.Contains(end.Happened, "pay_by_hand") && !skipped(end.Instance) {
				return errors.New("it is completed without a payment")
			}
			return nil
		},
	}
	sagatest.Explore(t, checkout(nil), x)

	var r recorder
	x.Check = func(end sagatest.End[order]) error {
		if len(end.Undone) > 2 {
			return errors.New("more is undone than I thought")
		}
		return nil
	}
	sagatest.Explore(&r, checkout(nil), x)
	sagatest.Explore(&r, sagas.Define("wrong", 1, func(s *sagas.Steps[order]) {
		s.Call("pay", func(context.Context, sagas.Call, *order) error { return nil })
		s.Command("ship", func(o order) sagas.Command { return sagas.Command{Command: o.Lines[0]} })
	}), sagatest.Exploration[order]{})
	for i, want := range []string{"your own rule holds: more is undone", "no function panics: runtime error: index out of range"} {
		if i >= len(r.reports) || !strings.Contains(r.reports[i], want) || !strings.Contains(r.reports[i], "history:\n    0 Started") {
			t.Errorf("reports are %q, want %q and its history", r.reports, want)
		}
	}
}

func skipped(i sagas.Instance) bool {
	return slices.ContainsFunc(i.Steps, func(s sagas.Step) bool { return s.Status == sagas.Skipped })
}
