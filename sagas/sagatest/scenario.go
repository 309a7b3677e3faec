package sagatest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/sagas"
)

// TB is the part of testing.TB that is used.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Scenario is an instance that inputs come to, one after another. Its first report says what is wrong, and all that has happened; then it is silent.
type Scenario[D any] struct {
	t TB
	*judge
	messages, failed int
}

// Given returns a scenario of a definition: nothing has happened, and it is 2026-01-01 00:00 UTC.
func Given[D any](t TB, s *sagas.Saga) *Scenario[D] {
	t.Helper()
	c := &Scenario[D]{t: t, judge: newJudge(s)}
	if err := s.Check(); err != nil {
		c.report("the definition is wrong: %v", err)
	}
	return c
}

func (s *Scenario[D]) report(format string, args ...any) {
	s.t.Helper()
	if s.failed++; s.failed == 1 {
		s.t.Errorf("%s\nhistory:%s", fmt.Sprintf(format, args...), History(s.events))
	}
}

// Begin begins the instance with data, as somebody does.
func (s *Scenario[D]) Begin(data D) *Scenario[D] {
	s.t.Helper()
	members, err := dataOf(data)
	if err != nil {
		s.report("the data: %v", err)
		return s
	}
	return s.When(sagas.Begin{ID: "1", Data: members})
}

// Tell has an event come that instances begin with or wait for. That it is about this instance is not checked.
func (s *Scenario[D]) Tell(event any) *Scenario[D] {
	s.t.Helper()
	s.messages++
	in, _, err := s.saga.InputOf(event, uuid.NewSHA1(uuid.Nil, fmt.Append(nil, s.messages)))
	if err != nil || in == nil {
		s.report("event %T is about no instance of saga %s (%v)", event, s.saga.Name(), err)
		return s
	}
	return s.When(in)
}

// When has any input come. It must not be refused.
func (s *Scenario[D]) When(in sagas.Input) (same *Scenario[D]) {
	s.t.Helper()
	if s.failed > 0 {
		return s
	}
	defer func() {
		same = s // after a panic, too
		switch p := recover().(type) {
		case nil:
		case *violation:
			s.t.Helper()
			s.report("%v", p)
		default:
			panic(p)
		}
	}()
	if _, err := s.input(in); err != nil {
		s.report("%T is refused: %v", in, err)
	}
	return s
}

// Done says that a step that is open, or its undoing, is done, with what it changes of the data.
func (s *Scenario[D]) Done(step string, changes ...func(*D)) *Scenario[D] {
	s.t.Helper()
	if p, ok := s.open(step); ok {
		s.complete(p.Step, changes)
	}
	return s
}

// Late says that a step is done that nobody waits for any more.
func (s *Scenario[D]) Late(step string, changes ...func(*D)) *Scenario[D] {
	s.t.Helper()
	at, begun := s.i.Step(step)
	if !begun || at.Status == sagas.Open {
		s.report("step %s was not begun, or is awaited still: it cannot be late", step)
		return s
	}
	return s.complete(at, changes)
}

func (s *Scenario[D]) complete(step sagas.Step, changes []func(*D)) *Scenario[D] {
	s.t.Helper()
	changed, err := sagas.Changed(s.i.DataOf(step.Name), func(d *D) error {
		for _, change := range changes {
			change(d)
		}
		return nil
	})
	if err != nil {
		s.report("the data are no %T: %v", *new(D), err)
		return s
	}
	return s.When(sagas.Complete{Step: step.Name, Number: step.Number, Changes: changed})
}

// Call calls the function of a step that is open, or that of its undoing, and the step is done. The function must return no error.
func (s *Scenario[D]) Call(step string) *Scenario[D] {
	s.t.Helper()
	p, ok := s.open(step)
	if !ok {
		return s
	}
	key := func(number int64) string { return fmt.Sprintf("%s-%s/%d", s.saga.Name(), s.i.ID, number) }
	c := sagas.Call{Saga: s.saga.Name(), ID: s.i.ID, Step: step, Key: key(p.Key), Attempt: 1, Until: p.Until}
	if p.Status == sagas.Undoing {
		c.Undoes = key(p.DoneKey)
	}
	changes, err := p.Call(context.Background(), c)
	if err != nil {
		s.report("the function of step %s: %v", step, err)
		return s
	}
	return s.When(sagas.Complete{Step: step, Number: p.Number, Changes: changes})
}

// Answer gives a step by HTTP that is open the body of an answer which says that all is well. The step must take it.
func (s *Scenario[D]) Answer(step, body string) *Scenario[D] {
	s.t.Helper()
	p, ok := s.open(step)
	if !ok {
		return s
	}
	changes, err := p.Answer(json.RawMessage(body))
	if err != nil {
		s.report("the answer to step %s: %v", step, err)
		return s
	}
	return s.When(sagas.Complete{Step: step, Number: p.Number, Changes: changes})
}

// Fail says that a step that is open, or its undoing, fails for good with a code.
func (s *Scenario[D]) Fail(step, code string) *Scenario[D] {
	s.t.Helper()
	if p, ok := s.open(step); ok {
		s.When(sagas.Fail{Step: step, Number: p.Number, Code: code, Reason: "so the test says"})
	}
	return s
}

// Exhaust says that the last attempt of a step that is open, or of its undoing, fails: it may have come about.
func (s *Scenario[D]) Exhaust(step string) *Scenario[D] {
	s.t.Helper()
	if p, ok := s.open(step); ok {
		s.When(sagas.Fail{Step: step, Number: p.Number, Code: sagas.CodeExhausted, Reason: "so the test says", Unknown: true})
	}
	return s
}

// Pass lets time pass: waits are over and deadlines pass, in their order.
func (s *Scenario[D]) Pass(d time.Duration) *Scenario[D] {
	s.t.Helper()
	until := s.now.Add(d)
	for s.failed == 0 {
		next := -1
		for at, step := range s.i.Steps {
			isPending := step.Status == sagas.Open || step.Status == sagas.Undoing
			if isPending && !step.Until.IsZero() && !step.Until.After(until) && (next < 0 || step.Until.Before(s.i.Steps[next].Until)) {
				next = at
			}
		}
		if next < 0 {
			break
		}
		due := s.i.Steps[next]
		if s.now.Before(due.Until) {
			s.now = due.Until
		}
		s.When(sagas.TimeUp{Step: due.Name, Number: due.Number})
	}
	s.now = until
	return s
}

// Act does what an operator does, such as Cancel; step is which step it is about, "" if it is about none.
func (s *Scenario[D]) Act(act sagas.Act, step string) *Scenario[D] {
	s.t.Helper()
	return s.When(sagas.Intervene{Intervened: sagas.Intervened{Act: act, Step: step, Actor: "test", Reason: "so the test says"}})
}

// open returns a step that is open or being undone.
func (s *Scenario[D]) open(step string) (p sagas.Pending, ok bool) {
	s.t.Helper()
	all, err := s.saga.Pending(s.i)
	if err != nil {
		s.report("a command cannot be made: %v", err)
	}
	var names []string
	for _, p := range all {
		if p.Name == step {
			return p, s.failed == 0
		}
		names = append(names, p.Name)
	}
	s.report("step %s is not open, but %s", step, listed(names))
	return p, false
}

// ThenOpen checks which steps are open, in the order in which they began: all of them. One that is being undone is "undo NAME".
func (s *Scenario[D]) ThenOpen(steps ...string) *Scenario[D] {
	s.t.Helper()
	var got []string
	for _, step := range s.i.Steps {
		switch step.Status {
		case sagas.Open:
			got = append(got, step.Name)
		case sagas.Undoing:
			got = append(got, "undo "+step.Name)
		}
	}
	if !slices.Equal(got, steps) {
		s.report("open are %s, want %s", listed(got), listed(steps))
	}
	return s
}

// ThenCommand checks the command that a step that is open, or its undoing, stands for, as reflect.DeepEqual sees it.
func (s *Scenario[D]) ThenCommand(step string, want sagas.Command) *Scenario[D] {
	s.t.Helper()
	if p, ok := s.open(step); ok && !reflect.DeepEqual(p.Command, want) {
		s.report("step %s asks for command %+v, want %+v", step, p.Command, want)
	}
	return s
}

// ThenSends checks the body that a step by HTTP that is open, or its undoing, sends, as JSON without spaces.
func (s *Scenario[D]) ThenSends(step, want string) *Scenario[D] {
	s.t.Helper()
	if p, ok := s.open(step); ok {
		if got, err := p.Request(); err != nil || string(got) != want {
			s.report("step %s sends %s (%v), want %s", step, got, err, want)
		}
	}
	return s
}

// ThenUndone checks which steps were undone, in that order: all of them.
func (s *Scenario[D]) ThenUndone(steps ...string) *Scenario[D] {
	s.t.Helper()
	if got := undone(s.events); !slices.Equal(got, steps) {
		s.report("undone are %s, want %s", listed(got), listed(steps))
	}
	return s
}

// ThenStatus checks how far the instance has come.
func (s *Scenario[D]) ThenStatus(want sagas.Status) *Scenario[D] {
	s.t.Helper()
	if s.i.Status != want {
		s.report("it is %s, want %s", s.i.Status, want)
	}
	return s
}

// ThenFailed checks that the instance has failed with a code, and undone what it had done.
func (s *Scenario[D]) ThenFailed(code string) *Scenario[D] {
	s.t.Helper()
	if s.i.Status != sagas.Failed || s.i.Code != code {
		s.report("it is %s with code %q, want %s with %q", s.i.Status, s.i.Code, sagas.Failed, code)
	}
	return s
}

// ThenData checks the data of the instance.
func (s *Scenario[D]) ThenData(want D) *Scenario[D] {
	s.t.Helper()
	var got D
	err := json.Unmarshal(textOf(s.i.Data), &got)
	if err != nil || !reflect.DeepEqual(got, want) {
		s.report("the data are %+v (%v), want %+v", got, err, want)
	}
	return s
}

func listed(steps []string) string {
	if len(steps) == 0 {
		return "none"
	}
	return strings.Join(steps, ", ")
}
