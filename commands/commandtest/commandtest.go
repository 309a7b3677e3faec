package commandtest

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/57528e99/recount/commands"
)

// TB is the part of testing.TB that is used.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Scenario is an aggregate with a history. Make one with Given.
type Scenario[S any, E commands.Event[S]] struct {
	t     TB
	state S
}

// Given starts a scenario in the state that the events lead to, in order; with
// no events, in the zero state.
func Given[S any, E commands.Event[S]](t TB, history ...E) *Scenario[S, E] {
	t.Helper()
	var zero S
	return &Scenario[S, E]{t: t, state: evolve(t, zero, history)}
}

// When runs the command. What follows from it is checked by the Then methods of
// the outcome. The scenario stays as it is, so it can be used again.
func (s *Scenario[S, E]) When(c commands.Command[S, E]) *Outcome[S, E] {
	s.t.Helper()
	type call struct {
		State   S
		Command commands.Command[S, E]
	}
	report(s.t, fmt.Sprintf("Decide of %T", c), writes(call{s.state, c}, func(given call) {
		// What it returns is that of the call below.
		_, _ = given.Command.Decide(given.State)
	}))
	events, err := c.Decide(s.state)
	if err == nil {
		evolve(s.t, s.state, events)
	}
	return &Outcome[S, E]{t: s.t, command: fmt.Sprintf("%T", c), events: events, err: err}
}

// Outcome is what a command came to.
type Outcome[S any, E commands.Event[S]] struct {
	t       TB
	command string
	events  []E
	err     error
}

// Then checks that the command is accepted and causes exactly these events, in
// order, as reflect.DeepEqual sees it.
func (o *Outcome[S, E]) Then(want ...E) {
	o.t.Helper()
	switch {
	case o.err != nil:
		o.t.Errorf("%s is refused: %v\n%s", o.command, o.err, list("want", want))
	case len(o.events) == 0 && len(want) == 0:
	case !reflect.DeepEqual(o.events, want):
		o.t.Errorf("%s decides other events than wanted:%s\n%s\n%s", o.command,
			indented(compare(o.events, want, "got %s, want %s")), list("got", o.events), list("want", want))
	}
}

// ThenNothing checks that the command is accepted and causes no event.
func (o *Outcome[S, E]) ThenNothing() {
	o.t.Helper()
	o.Then()
}

// ThenError checks that the command is refused with an error that is target, in
// the sense of errors.Is, and no events beside it.
func (o *Outcome[S, E]) ThenError(target error) {
	o.t.Helper()
	switch {
	case o.err == nil:
		o.t.Errorf("%s is accepted, want the refusal %q\n%s", o.command, target, list("got", o.events))
	case !errors.Is(o.err, target):
		o.t.Errorf("%s is refused with another error:\n  got  %v\n  want %v", o.command, o.err, target)
	case len(o.events) > 0:
		o.t.Errorf("%s decides events beside its refusal, they would be lost\n%s", o.command, list("got", o.events))
	}
}

// evolve returns the state after the events.
func evolve[S any, E commands.Event[S]](t TB, state S, events []E) S {
	t.Helper()
	type call struct {
		State S
		Event E
	}
	for _, e := range events {
		report(t, fmt.Sprintf("Evolve of %T", e), writes(call{state, e}, func(given call) {
			given.Event.Evolve(given.State)
		}))
		state = e.Evolve(state)
	}
	return state
}

func report(t TB, method string, writes []string) {
	t.Helper()
	if len(writes) > 0 {
		t.Errorf("%s writes into what it is given:%s\nchange a clone: slices.Clone, maps.Clone, and slices.Clip before append",
			method, indented(writes))
	}
}

// list renders events, one on a line.
func list[E any](title string, events []E) string {
	if len(events) == 0 {
		return title + " nothing"
	}
	all := make([]string, len(events))
	for i, e := range events {
		all[i] = fmt.Sprintf("[%d] %T %+v", i, e, e)
	}
	return title + indented(all)
}

func indented(lines []string) string {
	var b strings.Builder
	for _, line := range lines {
		b.WriteString("\n  " + line)
	}
	return b.String()
}
