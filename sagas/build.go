package sagas

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Define returns a saga whose instances have data of type D, a struct: its members as JSON are what the steps hand on. Steps says what it
// does, in that order. Its functions but those of calls are pure: they may be called several times.
//
// A change of the steps is another version, for instances that have begun stay with theirs: a program needs the definitions of all versions
// of which instances are under way.
func Define[D any](name string, version int, steps func(*Steps[D])) *Saga {
	s := &Saga{name: name, version: version, beforeStart: Buffer, names: make(map[string]bool)}
	if k := reflect.TypeFor[D]().Kind(); k != reflect.Struct && k != reflect.Map {
		s.mistake("its data are %v, and must be a struct", reflect.TypeFor[D]())
		return s
	}
	var zero D
	if _, err := members(zero); err != nil {
		s.mistake("its data must be an object as JSON: %w", err)
		return s
	}
	s.root = (&Steps[D]{saga: s}).inner(steps)
	return s
}

// mistake notes what is wrong with the definition. The steps of a further item have the mistakes of the first.
func (s *Saga) mistake(format string, args ...any) {
	if !s.further {
		s.mistakes = append(s.mistakes, fmt.Errorf(format, args...))
	}
}

// Steps are steps one after another, to which its methods add.
type Steps[D any] struct {
	saga  *Saga
	nodes sequence
}

// StartWith lets an instance begin with each event of type E, whose id and data begin returns; "": none begins. It is the saga's, wherever it is
// said. One that has begun is told of a second one as of a message.
func StartWith[E, D any](s *Steps[D], begin func(E) (id string, data D)) {
	if begin == nil {
		s.saga.mistake("no function begins instances with events of type %v", reflect.TypeFor[E]())
		return
	}
	s.saga.triggers = append(s.saga.triggers, trigger{event: reflect.TypeFor[E](), starts: true, of: func(event any) (string, map[string]json.RawMessage, error) {
		id, data := begin(event.(E))
		m, err := members(data)
		return id, m, err
	}})
}

// CancelWith lets an event of type E cancel an instance: of returns its id and why; "": none. What is open ends, and what is done is undone.
// One that comes before the instance begins cancels it when it does, unless BeforeStart says otherwise. It is the saga's, wherever it is
// said.
func CancelWith[E, D any](s *Steps[D], of func(E) (id, reason string)) {
	s.saga.triggers = append(s.saga.triggers, trigger{
		event: reflect.TypeFor[E](),
		of: func(event any) (string, map[string]json.RawMessage, error) {
			id, _ := of(event.(E))
			return id, nil, nil
		},
		cancels: func(text json.RawMessage) (string, error) {
			var e E
			err := json.Unmarshal(text, &e)
			_, reason := of(e)
			return reason, err
		},
	})
}

// BeforeStart says what becomes of messages for instances that have not started. Default: Buffer.
func (s *Steps[D]) BeforeStart(what BeforeStart) {
	if what != Buffer && what != Drop && what != Dead {
		s.saga.mistake("messages before the start: there is no %q, only %s, %s and %s", what, Buffer, Drop, Dead)
	}
	s.saga.beforeStart = what
}

// Describe says in words what the saga is for.
func (s *Steps[D]) Describe(text string) { s.saga.description = text }

// StepOf is a step, of which its methods say more.
type StepOf[D any] struct {
	saga *Saga
	task *task
}

func (s *Steps[D]) add(t *task) *StepOf[D] {
	s.takeName(t.name)
	if t.attempts = (Attempts{}).withDefaults(); t.kind == kindCommand || t.isOutside() {
		t.within = DefaultDeadline
	}
	if t.do == nil && (t.kind == kindCommand || t.kind == kindCall) {
		s.saga.mistake("step %q has no function that says what it does", t.name)
	}
	s.nodes = append(s.nodes, t)
	return &StepOf[D]{s.saga, t}
}

func (s *Steps[D]) takeName(name string) {
	switch {
	case s.saga.further:
		return
	case !stepName.MatchString(name):
		s.saga.mistake("the name %q of a step must be of lower-case letters, digits, '_' and '-', begin with a letter, and have at most 64 bytes", name)
	case s.saga.names[name]:
		s.saga.mistake("two steps are called %q: each needs a name of its own, also those of different ways", name)
	}
	s.saga.names[name] = true
}

// Command adds a step that runs a command of the App. If the command is refused, the step has failed with CodeRejected.
func (s *Steps[D]) Command(name string, command func(D) Command) *StepOf[D] {
	return s.add(&task{name: name, kind: kindCommand, do: commandAction(command)})
}

// Call adds a step that a function does, which may ask others, and change the data: what it changes is kept when it returns nil. It is
// called again after an error, as Attempts say, unless Fatal made the error; and after a crash whether it has returned or not, with the
// same Call.Key.
//
// Members of the data that it has not changed are those of other steps, which may be under way.
func (s *Steps[D]) Call(name string, call func(context.Context, Call, *D) error) *StepOf[D] {
	return s.add(&task{name: name, kind: kindCall, do: callAction(call)})
}

// Ask is Call for something that is answered later: the step waits until Engine.Answer is called with Call.Key, or its deadline has
// passed. Call may be nil: then somebody who looks is to answer, such as for an approval.
func (s *Steps[D]) Ask(name string, call func(context.Context, Call, *D) error) *StepOf[D] {
	return s.add(&task{name: name, kind: kindAnswer, do: callAction(call)})
}

// Receive adds a step that waits for an event of type E. Of returns the id of the instance that the event is about; "": none. Take changes the
// data; nil: nothing is changed. An event that came before the step is there for it; each event is taken by one step.
func Receive[E, D any](s *Steps[D], name string, of func(E) string, take func(*D, E)) *StepOf[D] {
	event := reflect.TypeFor[E]()
	if of == nil {
		s.saga.mistake("step %q has no function that says which instance an event is about", name)
	}
	s.saga.triggers = append(s.saga.triggers, trigger{event: event, of: func(event any) (string, map[string]json.RawMessage, error) {
		return of(event.(E)), nil, nil
	}})
	return s.add(&task{name: name, kind: kindReceive, event: event, typeOf: event.String(), receive: func(data map[string]json.RawMessage, text json.RawMessage) (map[string]json.RawMessage, error) {
		var e E
		if err := json.Unmarshal(text, &e); err != nil || take == nil {
			return nil, err
		}
		return Changed(data, func(d *D) error {
			take(d, e)
			return nil
		})
	}})
}

// Wait adds a step that ends after some time.
func (s *Steps[D]) Wait(name string, d time.Duration) {
	if d <= 0 {
		s.saga.mistake("step %q: its time must be positive", name)
	}
	s.WaitUntil(name, func(now time.Time, _ D) time.Time { return now.Add(d) })
}

// WaitUntil adds a step that ends at a time.
func (s *Steps[D]) WaitUntil(name string, until func(now time.Time, data D) time.Time) {
	if until == nil {
		s.saga.mistake("step %q has no function that says when it ends", name)
	}
	s.add(&task{name: name, kind: kindWait, until: func(now time.Time, data map[string]json.RawMessage) (time.Time, error) {
		var d D
		err := unmarshal(data, &d)
		if err != nil {
			return now, err
		}
		return until(now, d), nil
	}})
}

// Fail ends the steps with a failure of a code.
func (s *Steps[D]) Fail(name, code, reason string) {
	if code == "" {
		s.saga.mistake("step %q fails without a code", name)
	}
	s.add(&task{name: name, kind: kindFail, code: code, reason: reason})
}

// OnUndo adds a step that does nothing, and when all that is done behind it has been undone, a command.
func (s *Steps[D]) OnUndo(name string, command func(D) Command) *StepOf[D] {
	return s.add(&task{name: name, kind: kindUndo}).Undo(command)
}

// Undo says how the step is undone by a command.
func (s *StepOf[D]) Undo(command func(D) Command) *StepOf[D] {
	return s.undoneBy(commandAction(command))
}

// UndoCall says how the step is undone by a function. Undoing what was not done must be harmless: of a call that has passed its
// deadline nobody knows.
func (s *StepOf[D]) UndoCall(call func(context.Context, Call, *D) error) *StepOf[D] {
	return s.undoneBy(callAction(call))
}

func (s *StepOf[D]) undoneBy(a *action) *StepOf[D] {
	switch {
	case s.task.kind == kindReceive:
		s.saga.mistake("step %q waits for an event, and there is nothing to undo: add a step behind it that is undone", s.task.name)
	case a == nil:
		s.saga.mistake("step %q has no function that says how it is undone", s.task.name)
	case s.task.undo != nil:
		s.saga.mistake("step %q is undone in two ways", s.task.name)
	}
	s.task.undo = a
	return s
}

// Within says how much time the step has, and its undoing. Default: DefaultDeadline; of a step that waits for an event: as long as it takes.
func (s *StepOf[D]) Within(d time.Duration) *StepOf[D] {
	if d <= 0 {
		s.saga.mistake("step %q: its time must be positive", s.task.name)
	}
	s.task.within = d
	return s
}

// Heartbeat ends an attempt of a call, or of what undoes it, that has not called Call.Beat for so long, and has not for so long begun: its context ends,
// with ErrNoHeartbeat as the cause, and it has failed. So one that hangs is tried again long before the deadline. Default: it need not.
func (s *StepOf[D]) Heartbeat(d time.Duration) *StepOf[D] {
	if d <= 0 || s.task.kind != kindCall || s.task.do != nil && s.task.do.request != nil {
		s.saga.mistake("step %q: only a call can say that it is alive, within a time that is positive", s.task.name)
	}
	s.task.heartbeat = d
	return s
}

// Attempts says how often the step is tried, and its undoing.
func (s *StepOf[D]) Attempts(a Attempts) *StepOf[D] {
	if a.Max < 0 || a.First < 0 || a.Longest < 0 {
		s.saga.mistake("step %q: its attempts and the pauses between them must not be negative", s.task.name)
	}
	s.task.attempts = a.withDefaults()
	return s
}

// inner returns the steps that f adds.
func (s *Steps[D]) inner(f func(*Steps[D])) sequence {
	b := &Steps[D]{saga: s.saga}
	if f != nil {
		f(b)
	}
	return b.nodes
}

func commandAction[D any](command func(D) Command) *action {
	if command == nil {
		return nil
	}
	return &action{command: func(data map[string]json.RawMessage) (Command, error) {
		var d D
		if err := unmarshal(data, &d); err != nil {
			return Command{}, err
		}
		return command(d), nil
	}}
}

func callAction[D any](call func(context.Context, Call, *D) error) *action {
	if call == nil {
		return nil
	}
	return &action{call: func(ctx context.Context, c Call, data map[string]json.RawMessage) (map[string]json.RawMessage, error) {
		return Changed(data, func(d *D) error { return call(ctx, c, d) })
	}}
}

// Changed returns the members of data that f has changed, as Complete has them: what it has removed is null.
func Changed[D any](data map[string]json.RawMessage, f func(*D) error) (map[string]json.RawMessage, error) {
	var d D
	if err := unmarshal(data, &d); err != nil {
		return nil, err
	}
	before, err := members(d)
	if err != nil {
		return nil, err
	}
	if err := f(&d); err != nil {
		return nil, err
	}
	after, err := members(d)
	if err != nil {
		return nil, err
	}
	changes := make(map[string]json.RawMessage)
	for name, value := range after {
		if !bytes.Equal(before[name], value) {
			changes[name] = value
		}
	}
	for name := range before {
		if _, ok := after[name]; !ok {
			changes[name] = json.RawMessage("null")
		}
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, nil
}

func unmarshal(data map[string]json.RawMessage, into any) error {
	if of := reflect.TypeOf(into).Elem(); of.Kind() == reflect.Map && of.Elem().Kind() != reflect.Interface {
		data = merged(data, map[string]json.RawMessage{failureMember: json.RawMessage("null")}) // it is no member like the others
	}
	return json.Unmarshal(objectOf(data), into)
}

// objectOf returns members as the JSON of an object. Their values are JSON already: to marshal them would check and copy each again.
func objectOf(members map[string]json.RawMessage) []byte {
	size := 2
	for name, value := range members {
		size += len(name) + len(value) + 4
	}
	text := append(make([]byte, 0, size), '{')
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if len(text) > 1 {
			text = append(text, ',')
		}
		quoted, _ := json.Marshal(name) // a text
		text = append(append(text, quoted...), ':')
		if value := members[name]; value == nil {
			text = append(text, "null"...)
		} else {
			text = append(text, value...)
		}
	}
	return append(text, '}')
}

// members returns data as its members.
func members(data any) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	err = json.Unmarshal(text, &m)
	delete(m, failureMember) // it is told, not handed on
	return m, err
}
