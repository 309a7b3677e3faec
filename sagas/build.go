package sagas

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	s := &Saga{name: name, version: version, beforeStart: Buffer, tasks: make(map[string]*task), names: make(map[string]bool)}
	if k := reflect.TypeFor[D]().Kind(); k != reflect.Struct && k != reflect.Map {
		s.mistake("its data are %v, and must be a struct", reflect.TypeFor[D]())
		return s
	}
	b := &Steps[D]{saga: s}
	steps(b)
	s.root = b.nodes
	return s
}

func (s *Saga) mistake(format string, args ...any) {
	s.mistakes = append(s.mistakes, fmt.Errorf("saga %q: "+format, append([]any{s.name}, args...)...))
}

// Steps are steps one after another, to which its methods add.
type Steps[D any] struct {
	saga  *Saga
	nodes sequence
	// repeated: they are those of a further item, which have been seen.
	repeated bool
}

// StartWith lets an instance begin with each event of type E, whose id and data begin returns; "": none begins. It is the saga's, wherever it is
// said. One that has begun is told of a second one as of a message.
func StartWith[E, D any](s *Steps[D], begin func(E) (id string, data D)) {
	s.saga.triggers = append(s.saga.triggers, trigger{event: reflect.TypeFor[E](), starts: true, of: func(event any) (string, map[string]json.RawMessage, error) {
		id, data := begin(event.(E))
		m, err := members(data)
		return id, m, err
	}})
}

// BeforeStart says what becomes of messages for instances that have not started. Default: Buffer.
func (s *Steps[D]) BeforeStart(what BeforeStart) { s.saga.beforeStart = what }

// Describe says in words what the saga is for.
func (s *Steps[D]) Describe(text string) { s.saga.description = text }

// Step is a step, of which its methods say more.
type StepOf[D any] struct {
	saga *Saga
	task *task
}

func (s *Steps[D]) add(t *task) *StepOf[D] {
	t.within, t.attempts = DefaultDeadline, Attempts{}.withDefaults()
	if t.kind == kindReceive || t.kind == kindWait {
		t.within = 0
	}
	s.nodes = append(s.nodes, t)
	if !s.takeName(t.name) {
		return &StepOf[D]{s.saga, t}
	}
	s.saga.tasks[t.name] = t
	return &StepOf[D]{s.saga, t}
}

// takeName reports whether a step of that name is new.
func (s *Steps[D]) takeName(name string) bool {
	switch {
	case s.repeated:
		return !s.saga.names[name]
	case !stepName.MatchString(name):
		s.saga.mistake("the name %q of a step must be of lower-case letters, digits, '_' and '-', begin with a letter, and have at most 64 bytes", name)
	case s.saga.names[name]:
		s.saga.mistake("two steps are called %q", name)
	}
	s.saga.names[name] = true
	return true
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
	t := &task{name: name, kind: kindAnswer}
	if call != nil {
		t.do = callAction(call)
	}
	return s.add(t)
}

// Receive adds a step that waits for an event of type E. Of returns the id of the instance that the event is about; "": none. Take changes the
// data; nil: nothing is changed. An event that came before the step is there for it; each event is taken by one step.
func Receive[E, D any](s *Steps[D], name string, of func(E) string, take func(*D, E)) *StepOf[D] {
	event := reflect.TypeFor[E]()
	if !s.repeated {
		s.saga.triggers = append(s.saga.triggers, trigger{event: event, of: func(event any) (string, map[string]json.RawMessage, error) {
			return of(event.(E)), nil, nil
		}})
	}
	return s.add(&task{name: name, kind: kindReceive, event: event, typeOf: event.String(), receive: func(data map[string]json.RawMessage, text json.RawMessage) (map[string]json.RawMessage, error) {
		var e E
		if err := json.Unmarshal(text, &e); err != nil || take == nil {
			return nil, err
		}
		return changed(data, func(d *D) error {
			take(d, e)
			return nil
		})
	}})
}

// Wait adds a step that ends after some time.
func (s *Steps[D]) Wait(name string, d time.Duration) *StepOf[D] {
	return s.WaitUntil(name, func(now time.Time, _ D) time.Time { return now.Add(d) })
}

// WaitUntil adds a step that ends at a time.
func (s *Steps[D]) WaitUntil(name string, until func(now time.Time, data D) time.Time) *StepOf[D] {
	return s.add(&task{name: name, kind: kindWait, until: func(now time.Time, data map[string]json.RawMessage) (time.Time, error) {
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
	s.add(&task{name: name, kind: kindFail, code: code, reason: reason})
}

// Undo says how the step is undone by a command.
func (s *StepOf[D]) Undo(command func(D) Command) *StepOf[D] {
	s.task.undo = commandAction(command)
	return s
}

// UndoCall says how the step is undone by a function. Undoing what was not done must be harmless: of a call that has passed its
// deadline nobody knows.
func (s *StepOf[D]) UndoCall(call func(context.Context, Call, *D) error) *StepOf[D] {
	s.task.undo = callAction(call)
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

// Attempts says how often the step is tried, and its undoing.
func (s *StepOf[D]) Attempts(a Attempts) *StepOf[D] {
	s.task.attempts = a.withDefaults()
	return s
}

// inner returns the steps that f adds.
func (s *Steps[D]) inner(f func(*Steps[D])) sequence {
	b := &Steps[D]{saga: s.saga, repeated: s.repeated}
	f(b)
	return b.nodes
}

// Way is a way that may be chosen.
type Way[D any] struct {
	label string
	when  func(D) bool
	steps func(*Steps[D])
}

// When is a way for data of which a condition is true.
func When[D any](label string, is func(D) bool, steps func(*Steps[D])) Way[D] {
	return Way[D]{label, is, steps}
}

// Otherwise is the way if no other one is.
func Otherwise[D any](steps func(*Steps[D])) Way[D] {
	return Way[D]{"otherwise", func(D) bool { return true }, steps}
}

// Choose goes the first way whose condition is true; if there is none, it goes on behind it. What was chosen once stays so.
func (s *Steps[D]) Choose(name string, ways ...Way[D]) {
	s.takeName(name)
	b := &branches{name: name}
	for _, w := range ways {
		b.labels, b.ways = append(b.labels, w.label), append(b.ways, s.inner(w.steps))
	}
	b.choose = func(data map[string]json.RawMessage) (int, error) {
		var d D
		if err := unmarshal(data, &d); err != nil {
			return 0, err
		}
		return slices.IndexFunc(ways, func(w Way[D]) bool { return w.when(d) }), nil
	}
	s.nodes = append(s.nodes, b)
}

// All goes all ways at once, until all have come to their end. If one fails all have failed.
func (s *Steps[D]) All(name string, ways ...func(*Steps[D])) { s.Quorum(name, len(ways), ways...) }

// Any goes all ways at once, until one has come to its end. What the others have done is undone.
func (s *Steps[D]) Any(name string, ways ...func(*Steps[D])) { s.Quorum(name, 1, ways...) }

// Quorum goes all ways at once, until so many have come to their end. What the others have done is undone.
func (s *Steps[D]) Quorum(name string, enough int, ways ...func(*Steps[D])) {
	s.takeName(name)
	p := &parallel{name: name, enough: enough}
	if enough < 1 || enough > len(ways) {
		s.saga.mistake("step %q: %d of %d ways cannot be enough", name, enough, len(ways))
	}
	for _, w := range ways {
		p.ways = append(p.ways, s.inner(w))
	}
	s.nodes = append(s.nodes, p)
}

// Items say how Each goes about it. The zero value: all at once, and none may fail.
type Items struct {
	// AtOnce is how many are under way at once; 0: all.
	AtOnce int
	// Tolerated is how many may fail.
	Tolerated int
}

// Each does steps for each of so many items. The names of the steps end with the index, as in ship[2]. Steps of a command, a call and so on are the
// same for each item but for the index.
func (s *Steps[D]) Each(name string, count func(D) int, steps func(s *Steps[D], item int), how Items) {
	s.takeName(name)
	first := s.inner(func(b *Steps[D]) { steps(b, 0) })
	s.nodes = append(s.nodes, &items{name: name, atOnce: how.AtOnce, tolerated: how.Tolerated,
		count: func(data map[string]json.RawMessage) (int, error) {
			var d D
			if err := unmarshal(data, &d); err != nil {
				return 0, err
			}
			return max(count(d), 0), nil
		},
		body: func(i int) sequence {
			if i == 0 {
				return first
			}
			b := &Steps[D]{saga: s.saga, repeated: true}
			steps(b, i)
			return b.nodes
		}})
}

// Catch is what is done when steps have failed.
type Catch[D any] struct {
	codes []string
	steps func(*Steps[D])
}

// On catches failures of some codes; without any: all.
func On[D any](steps func(*Steps[D]), codes ...string) Catch[D] { return Catch[D]{codes, steps} }

// Try does steps, and others if they fail with a code that is caught; then it goes on behind it. What was done is not undone.
func (s *Steps[D]) Try(name string, steps func(*Steps[D]), catches ...Catch[D]) {
	s.takeName(name)
	a := &attempted{name: name, body: s.inner(steps)}
	for _, c := range catches {
		a.catches = append(a.catches, catch{c.codes, s.inner(c.steps)})
	}
	s.nodes = append(s.nodes, a)
}

func commandAction[D any](command func(D) Command) *action {
	return &action{command: func(data map[string]json.RawMessage) (Command, error) {
		var d D
		if err := unmarshal(data, &d); err != nil {
			return Command{}, err
		}
		return command(d), nil
	}}
}

func callAction[D any](call func(context.Context, Call, *D) error) *action {
	return &action{call: func(ctx context.Context, c Call, data map[string]json.RawMessage) (map[string]json.RawMessage, error) {
		return changed(data, func(d *D) error { return call(ctx, c, d) })
	}}
}

// changed returns the members of data that f has changed; what it has removed is null.
func changed[D any](data map[string]json.RawMessage, f func(*D) error) (map[string]json.RawMessage, error) {
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
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if data == nil {
		text = []byte("{}")
	}
	return json.Unmarshal(text, into)
}
