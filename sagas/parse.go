package sagas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/57528e99/recount/eventstore"
)

const (
	// MaxBytes is how long the text of a definition may be.
	MaxBytes = 1 << 20
	// maxDepth is how many objects and lists may be inside one another.
	maxDepth = 100
)

// Registry is what definitions as text may refer to.
type Registry struct {
	// Functions are those of steps that call, by name.
	Functions map[string]Function
	// Commands are the names of the App's commands. Nil: a definition may have any name, and its step is rejected.
	Commands []string
	// Codec is that of the events. Nil: NewEngine says which do not exist, without their place in the text.
	Codec *eventstore.Codec
}

// Function does a step of a definition as text. Input is what the step has under with, or all of the data. The answer is made JSON; of an object
// the step may take members into the data.
type Function func(ctx context.Context, c Call, input json.RawMessage) (answer any, err error)

// FunctionOf returns a function whose input is decoded. An input that cannot be decoded fails the step with CodeDefinition.
func FunctionOf[In, Out any](f func(context.Context, Call, In) (Out, error)) Function {
	return func(ctx context.Context, c Call, input json.RawMessage) (any, error) {
		var in In
		if err := json.Unmarshal(input, &in); err != nil {
			return nil, Fatal(CodeDefinition, fmt.Errorf("the input of step %s: %w", c.Step, err))
		}
		return f(ctx, c, in)
	}
}

// Parse returns the definition that a text in YAML or JSON is; docs/sagas-yaml.md has its members. The commands that it asks for are
// json.RawMessage. The error has a *MistakeError for each mistake, in the order of the text.
func Parse(text []byte, r Registry) (*Saga, error) {
	p := &parser{registry: r, known: make(map[string]bool), closed: true}
	if root, ok := p.readText(text); ok {
		p.readDefinition(root)
	}
	if len(p.mistakes) > 0 {
		slices.SortStableFunc(p.mistakes, func(a, b *MistakeError) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		errs := make([]error, len(p.mistakes))
		for i, m := range p.mistakes {
			errs[i] = m
		}
		return nil, errors.Join(errs...)
	}
	return p.saga, nil
}

// parser reads one text.
type parser struct {
	registry Registry
	saga     *Saga
	mistakes []*MistakeError
	// known are the members that data can have; closed says that there are no others.
	known  map[string]bool
	closed bool
	// used are the pointers into the data: what they begin with must be known at the end.
	used []use
	// itemNames are those that items have: no other member may have them where they are seen.
	itemNames []use
}

type use struct {
	place
	name string
	// items are the names of those around it.
	items []string
}

func (p *parser) readDefinition(root place) {
	o, ok := root.object("a definition")
	if !ok {
		return
	}
	o.only("a definition", "saga", "version", "description", "start", "before_start", "cancel", "steps")
	name, version := "", 1
	nameAt, ok := o.member("saga", "the name of the saga")
	if ok {
		if name, ok = nameAt.text("the name of the saga"); ok && !sagaName.MatchString(name) {
			nameAt.mistake(sagaNameRule)
		}
	}
	if at, ok := o.member("version", "a number from 1 on, another one with each change of the steps"); ok {
		version = at.integer(1)
	}
	var steps adder
	if at, ok := o.member("steps", "a list of steps"); ok {
		steps = p.steps(at, nil)
	}
	p.saga = Define(name, version, func(b *Steps[fields]) {
		if at, ok := o.members["description"]; ok {
			text, _ := at.text("a text")
			b.Describe(text)
		}
		if at, ok := o.members["before_start"]; ok {
			if what, ok := at.text("a text"); ok {
				at.builds(b, func() { b.BeforeStart(BeforeStart(what)) })
			}
		}
		if at, ok := o.members["start"]; ok {
			p.start(b, at)
		}
		if at, ok := o.members["cancel"]; ok {
			p.cancel(b, at)
		}
		if steps != nil {
			steps(b, nil)
		}
	})
	if _, starts := o.members["start"]; p.closed && starts {
		p.checkUsed()
	}
	for _, i := range p.itemNames {
		if p.known[i.name] || slices.Contains(i.items, i.name) {
			i.mistake("an item cannot be called %q, as a member of the data or an item around it: give it another name with as", i.name)
		}
	}
}

// checkUsed makes pointers mistakes that no data can have.
func (p *parser) checkUsed() {
	for _, u := range p.used {
		if u.name != failureMember && !p.known[u.name] && !slices.Contains(u.items, u.name) {
			u.mistake("the data have no member %q: start and take set %s", u.name, listed(slices.Sorted(maps.Keys(p.known))))
		}
	}
}

// listed returns names as a text, not too long.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	if len(names) > 30 {
		names = append(slices.Clone(names[:30]), "…")
	}
	return strings.Join(names, ", ")
}

// start reads what instances begin with.
func (p *parser) start(b *Steps[fields], at place) {
	o, ok := at.object("what an instance begins with")
	if !ok {
		return
	}
	o.only("start", "event", "id", "data")
	t := p.trigger(o)
	var data mapping
	if from, ok := o.members["data"]; ok {
		data = from.mapping(p.checkEvent(o))
	} else {
		p.closed = false
	}
	id := t.of
	t.starts, t.of = true, func(event any) (string, fields, error) {
		name, found, err := id(event)
		if err != nil || name == "" || data == nil {
			return name, found, err
		}
		found, err = data.in(found)
		return name, found, err
	}
	b.saga.triggers = append(b.saga.triggers, t)
}

// cancel reads which events cancel instances.
func (p *parser) cancel(b *Steps[fields], at place) {
	o, ok := at.object("what cancels an instance")
	if !ok {
		return
	}
	o.only("cancel", "event", "id", "reason")
	t, reason := p.trigger(o), value{literal: json.RawMessage(`"an event cancels it"`)}
	if from, ok := o.members["reason"]; ok {
		reason = from.value(p.checkEvent(o))
	}
	t.cancels = func(event json.RawMessage) (string, error) {
		members, err := asFields(event)
		if err != nil {
			return "", err
		}
		return reason.text(members)
	}
	b.saga.triggers = append(b.saga.triggers, t)
}

// trigger reads the type of an event, and the id of the instance that it is about. What it returns has the event's members as data.
func (p *parser) trigger(o object) trigger {
	t := trigger{typeOf: p.eventType(o)}
	var id value
	at, ok := o.member("id", `that of the instance which an event is about, as in {"from": "/order_id"}`)
	if ok {
		id = at.value(p.checkEvent(o))
	}
	t.of = func(event any) (string, fields, error) {
		text, err := json.Marshal(event)
		if err != nil {
			return "", nil, err
		}
		members, err := asFields(text)
		if err != nil {
			return "", nil, err
		}
		found, err := id.in(members)
		if err != nil || string(found) == "null" || string(found) == `""` {
			return "", nil, err
		}
		name, err := id.text(members)
		return name, members, err
	}
	return t
}

// eventType reads the name of the type of an event: that of a step is its kind.
func (p *parser) eventType(o object) string {
	at, ok := o.members[string(kindReceive)]
	if !ok {
		if at, ok = o.member("event", "the type of the events, by its name in the log"); !ok {
			return ""
		}
	}
	name, ok := at.text("the type of an event, by its name in the log")
	if ok && p.registry.Codec != nil {
		if err := checkType(p.registry.Codec, name); err != nil {
			at.mistake("%s", err)
		}
	}
	return name
}

// checkType returns an error for a type of event that is none of the program's.
func checkType(codec *eventstore.Codec, name string) error {
	switch names := codec.Names(name); {
	case names == nil:
		return fmt.Errorf("there is no event %q: there are %s", name, listed(codec.TypeNames()))
	case names[0] != name:
		return fmt.Errorf("the event %q is called %q now", name, names[0])
	}
	return nil
}

// checkEvent returns a check of pointers into an event: of what it has no such member.
func (p *parser) checkEvent(o object) func(place, pointer) {
	at, ok := o.members["event"]
	if receive, isStep := o.members[string(kindReceive)]; isStep {
		at, ok = receive, true
	}
	if !ok || p.registry.Codec == nil {
		return func(place, pointer) {}
	}
	versions := p.registry.Codec.Versions(at.Value)
	return func(from place, to pointer) {
		if len(versions) == 0 {
			return
		}
		if member, there := missing(versions[len(versions)-1].Type, to); member != "" {
			from.mistake("the event %s has no member %q there: there are %s", at.Value, member, listed(there))
		}
	}
}

// missing returns the first member on the way of a pointer that values of a type cannot have, and those that they have instead; "": they
// can have all, or nobody knows.
func missing(t reflect.Type, p pointer) (member string, there []string) {
	for _, token := range p {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		if writesItself(t) {
			return "", nil
		}
		switch t.Kind() {
		case reflect.Slice, reflect.Array:
			t = t.Elem()
			continue
		case reflect.Struct:
		default:
			return "", nil
		}
		inner, names := reflect.Type(nil), []string(nil)
		for _, f := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name == "-" || !f.IsExported() || f.Anonymous && name == "" {
				continue
			}
			name = cmp.Or(name, f.Name)
			if names = append(names, name); name == token {
				inner = f.Type
			}
		}
		if inner == nil {
			return token, names
		}
		t = inner
	}
	return "", nil
}

// writesItself reports whether the JSON of a type is not that of its kind.
func writesItself(t reflect.Type) bool {
	for _, as := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()} {
		if t.Implements(as) || reflect.PointerTo(t).Implements(as) {
			return true
		}
	}
	return false
}
