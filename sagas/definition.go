package sagas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"time"

	"github.com/57528e99/recount/eventstore"
)

// Saga is a definition: a name, a version, what an instance begins with, and its steps. Define and Parse make one; it does not
// change.
type Saga struct {
	name        string
	version     int
	description string
	triggers    []trigger
	root        sequence
	beforeStart BeforeStart
	// names are those of all steps, mistakes what is wrong with the definition.
	names    map[string]bool
	mistakes []error
	// further: it is one only for the steps of a further item.
	further bool
	// nameOf returns the name in the log of a type of event; nil: that of Go.
	nameOf func(reflect.Type) string
}

// typeName returns the type of the message that a step waits for.
func (s *Saga) typeName(t *task) string { return s.typeOf(t.event, t.typeOf) }

// typeOf returns the type of messages that are events of a type of Go; if that is nil: a name in the log that is known.
func (s *Saga) typeOf(event reflect.Type, name string) string {
	switch {
	case event == nil:
		return name
	case s.nameOf != nil:
		return s.nameOf(event)
	}
	return event.String()
}

// In returns the definition as a program with a codec has it: with the names of events in the log, which diagrams show.
func (s *Saga) In(codec *eventstore.Codec) *Saga {
	bound := *s
	bound.nameOf = func(t reflect.Type) string {
		name, _ := codec.TypeName(t)
		return name
	}
	return &bound
}

// Name returns its name: lower-case letters, digits and '_'.
func (s *Saga) Name() string { return s.name }

// Version returns its version, from 1.
func (s *Saga) Version() int { return s.version }

// BeforeStart is what becomes of a message for an instance that has not started.
type BeforeStart string

const (
	// Buffer keeps it until the instance starts. It is the default.
	Buffer BeforeStart = "buffer"
	// Drop forgets it.
	Drop BeforeStart = "drop"
	// Dead makes it a dead letter of the subscription.
	Dead BeforeStart = "dead"
)

// trigger is a type of event that instances begin with, or wait for.
type trigger struct {
	// event is the type in Go; nil: typeOf is its name in the log.
	event  reflect.Type
	typeOf string
	starts bool
	// cancels returns why an event, as JSON, cancels the instance; nil: it does not.
	cancels func(event json.RawMessage) (reason string, err error)
	// of returns the id of the instance that an event is about; "": it is none's. Of one that starts it also returns the data.
	of func(event any) (id string, data map[string]json.RawMessage, err error)
}

// name returns the name of the type in the log.
func (t trigger) name(codec *eventstore.Codec) (string, error) {
	if t.event == nil {
		return t.typeOf, checkType(codec, t.typeOf)
	}
	name, ok := codec.TypeName(t.event)
	if !ok {
		return "", eventstore.NotAdded(t.event)
	}
	return name, nil
}

// DefaultDeadline is how much time a step has that says nothing else.
const DefaultDeadline = 24 * time.Hour

// Attempts say how often a step is tried that fails for a while, and how long it waits between.
type Attempts struct {
	// Max is how many attempts there are. Default: 10.
	Max int
	// First is how long it waits after the first, and Longest how long at most; it waits twice as long each time. Default: 1 s, 1 min.
	First, Longest time.Duration
}

func (a Attempts) withDefaults() Attempts {
	return Attempts{cmp.Or(a.Max, 10), cmp.Or(a.First, time.Second), cmp.Or(a.Longest, time.Minute)}
}

// Pause returns how long to wait after so many attempts.
func (a Attempts) Pause(attempts int) time.Duration {
	pause := a.First
	for range min(attempts-1, 40) {
		if pause *= 2; pause >= a.Longest {
			return a.Longest
		}
	}
	return min(pause, a.Longest)
}

// Command is a command of the App, on this log: what it does and that the step is done are there together, or neither is.
type Command struct {
	// Name is that of the App's command, such as "order.confirm", or of a unit.
	Name string
	// ID is that of the stream.
	ID string
	// Command is the command itself.
	Command any
}

// Call is a step as the function is told that does it.
type Call struct {
	// Saga and ID name the instance, Step the step.
	Saga, ID, Step string
	// Key is the same whenever the same step is tried again: give it to whom you ask, so that nothing is done twice. Of a step
	// that waits for an answer it is what to answer with: a name that can be guessed, and no secret. Who lets strangers answer tells them apart.
	Key string
	// Undoes is, of what undoes a step, the Key that the step was done with.
	Undoes string
	// Attempt counts from 1. One that could not be made, as whom it asked takes nothing for a time, does not count.
	Attempt int
	// Until is the deadline.
	Until time.Time

	beat  func()
	again bool // there was an attempt before, which need not count
}

// Beat says that the call is alive: see StepOf.Heartbeat.
func (c Call) Beat() {
	if c.beat != nil {
		c.beat()
	}
}

// action is what a step does, or what undoes it: one of the three.
type action struct {
	command func(data map[string]json.RawMessage) (Command, error)
	call    func(ctx context.Context, c Call, data map[string]json.RawMessage) (changes map[string]json.RawMessage, err error)
	request *request
}

// node is a part of a definition.
type node interface {
	// walk goes as far as the instance has come, and begins what is next. Cause is the step that is why it is broken or left.
	walk(w *walker) (p progress, cause string)
	// each calls do for all steps of the part, by their names.
	each(do func(name string))
	// find returns the task of a name, inside of the items with these indexes; nil: it is not here.
	find(name string, items []int) *task
}

// progress is how far a part of a definition has come.
type progress int

const (
	// pending: something is to be awaited, or to begin.
	pending progress = iota
	// finished: all is done.
	finished
	// broken: it has failed, and no step of it is open.
	broken
	// left: nobody waits for it, since it is on a way that was not needed.
	left
)

// sequence is parts one after another.
type sequence []node

// task is a step.
type task struct {
	name string
	kind taskKind
	// do is what it does; nil: it waits for others only. Undo, if not nil, undoes it.
	do, undo *action
	within   time.Duration
	// heartbeat is within which time a call must say that it is alive; 0: it need not.
	heartbeat time.Duration
	attempts  Attempts
	// until says when a wait is over.
	until func(now time.Time, data map[string]json.RawMessage) (time.Time, error)
	// receive is how the message that it waits for changes the data, event the type of the message.
	receive func(data map[string]json.RawMessage, event json.RawMessage) (map[string]json.RawMessage, error)
	event   reflect.Type
	typeOf  string
	// about says in a diagram what it does, where that is known.
	about string
	// code is that of a step which fails.
	code, reason string
}

type taskKind string

const (
	kindCommand taskKind = "command"
	kindCall    taskKind = "call"
	kindAnswer  taskKind = "answer" // it waits for somebody to answer with its token
	kindReceive taskKind = "receive"
	kindWait    taskKind = "wait"
	kindFail    taskKind = "fail"
	kindUndo    taskKind = "undo" // it does nothing, but is undone
)

// branches are ways of which one is chosen.
type branches struct {
	name   string
	choose func(data map[string]json.RawMessage) (int, error)
	labels []string
	ways   []sequence
}

// parallel are ways that are all gone at once.
type parallel struct {
	name string
	// enough is how many of them are enough.
	enough int
	ways   []sequence
}

// items are steps that are done for each of so many items.
type items struct {
	name  string
	count func(data map[string]json.RawMessage) (int, error)
	body  func(i int) sequence
	// atOnce is how many are under way at once, tolerated how many may fail.
	atOnce, tolerated int
}

// attempted are steps whose failure is caught.
type attempted struct {
	name    string
	body    sequence
	catches []catch
}

type catch struct {
	// codes are those of failures; none: all.
	codes []string
	way   sequence
}

var (
	sagaName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,47}$`)
	stepName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,63}$`)
)

const sagaNameRule = "a name has lower-case letters, digits and '_', begins with a letter, and has at most 48 bytes"

// TryCommands calls check with the command of each step, and of what undoes one, as its function makes it of data that are all zero: for what
// does not depend on data. A function that does not take such is left out.
func (s *Saga) TryCommands(check func(step string, c Command)) {
	try := func(step string, a *action) {
		defer func() { _ = recover() }() // a division by zero, or the like
		if a != nil && a.command != nil {
			c, err := a.command(nil)
			if _, own := c.Command.(appending); err == nil && !own { // which is the engine's to do
				check(step, c)
			}
		}
	}
	s.root.each(func(step string) {
		var t *task
		for in := ""; t == nil && len(in) < 30; in += "[0]" { // of an item of an item
			t = s.find(step + in)
		}
		if t != nil {
			try(step, t.do)
			try(step, t.undo)
		}
	})
}

// Check returns all mistakes of the definition.
func (s *Saga) Check() error {
	var all []error
	fail := func(format string, args ...any) {
		all = append(all, fmt.Errorf("saga %q: "+format, append([]any{s.name}, args...)...))
	}
	for _, m := range s.mistakes {
		fail("%w", m)
	}
	if !sagaName.MatchString(s.name) {
		fail(sagaNameRule)
	}
	if s.version < 1 {
		fail("its version is %d; they count from 1", s.version)
	}
	if len(s.root) == 0 && len(s.mistakes) == 0 {
		fail("it has no steps")
	}
	return errors.Join(all...)
}
