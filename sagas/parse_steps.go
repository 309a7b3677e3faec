package sagas

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/57528e99/recount/delivery"
)

// adder adds steps that were read, for the items that they are inside of.
type adder func(b *Steps[fields], in itemsAround)

// kindOf is a kind of step.
type kindOf struct {
	name string
	// members are those that steps of the kind have beside step and the kind.
	members []string
	read    func(*parser, stepText) adder
}

// stepText is a step that is read.
type stepText struct {
	object
	name string
	// what is the value of the member that is the kind.
	what place
	// items are the names of the items around it.
	items []string
}

// kindsOfSteps returns all kinds, in the order in which mistakes list them.
func kindsOfSteps() []kindOf {
	more := []string{"undo", "within", "attempts"}
	return []kindOf{
		{"command", append([]string{"id", "body"}, more...), (*parser).doing},
		{"call", append([]string{"with", "take", "heartbeat"}, more...), (*parser).doing},
		{"http", append([]string{"with", "take"}, more...), (*parser).doing},
		{"receive", []string{"id", "take", "within"}, (*parser).receive},
		{"ask", append([]string{"with"}, more...), (*parser).ask},
		{"wait", nil, (*parser).wait},
		{"choose", nil, (*parser).choose},
		{"all", nil, (*parser).all},
		{"any", nil, (*parser).any},
		{"quorum", []string{"ways"}, (*parser).quorum},
		{"each", []string{"as", "at_once", "tolerated", "steps"}, (*parser).each},
		{"try", []string{"catch"}, (*parser).try},
		{"on_undo", nil, (*parser).onUndo},
		{"fail", []string{"reason"}, (*parser).fail},
	}
}

// steps reads a list of steps. It returns nil after a mistake that leaves none.
func (p *parser) steps(at place, items []string) adder {
	var all []adder
	for _, one := range at.list("steps") {
		if add := p.step(one, at.path, items); add != nil {
			all = append(all, add)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return func(b *Steps[fields], in itemsAround) {
		for _, add := range all {
			add(b, in)
		}
	}
}

// step reads a step.
func (p *parser) step(at place, path string, items []string) adder {
	o, ok := at.object("a step")
	if !ok {
		return nil
	}
	name := ""
	nameAt, ok := o.member("step", "its name")
	if ok {
		if name, ok = nameAt.text("the name of the step"); ok {
			o, _ = place{at.Node, p, path}.inside(name, at.Node).object("a step") // what is inside is known by the name
			nameAt = o.members["step"]
		}
	}
	s := stepText{object: o, name: name, items: items}
	var is []string
	var kind kindOf
	var names []string
	for _, k := range kindsOfSteps() {
		names = append(names, k.name)
		if what, ok := o.members[k.name]; ok {
			is, kind, s.what = append(is, k.name), k, what
		}
	}
	switch {
	case len(is) == 0:
		if o.only("a step", append([]string{"step"}, names...)...) {
			o.mistake("it does not say what it does: it needs one of %s", strings.Join(names, ", "))
		}
		return nil
	case len(is) > 1:
		o.mistake("it does several things, %s: make it several steps", strings.Join(is, " and "))
		return nil
	}
	o.only("a step of kind "+kind.name, append([]string{"step", kind.name}, kind.members...)...)
	add := kind.read(p, s)
	if add == nil {
		return nil
	}
	return func(b *Steps[fields], in itemsAround) {
		if name != "" {
			nameAt.builds(b, func() { add(b, in) })
		}
	}
}

// builds calls do, and says that what is wrong with the definition because of it is wrong there.
func (p place) builds(b *Steps[fields], do func()) {
	before := len(b.saga.mistakes)
	do()
	for _, m := range b.saga.mistakes[before:] {
		p.mistake("%s", m)
	}
	b.saga.mistakes = b.saga.mistakes[:before]
}

// uses returns a check that notes pointers into the data.
func (p *parser) uses(items []string) func(place, pointer) {
	return func(at place, to pointer) {
		if len(to) > 0 {
			p.used = append(p.used, use{at, to[0], items})
		}
	}
}

// doing reads a step that is a command, a call or a request.
func (p *parser) doing(s stepText) adder {
	kind := kindCall
	if _, isCommand := s.members["command"]; isCommand {
		kind = kindCommand
	}
	do := p.action(s.object, s.items)
	more := p.more(s)
	return func(b *Steps[fields], in itemsAround) {
		t := &task{name: s.name, kind: kind, about: s.what.Value, do: do(in)}
		if t.do != nil && t.do.request != nil {
			t.about = t.do.request.to.about()
		}
		more(b.add(t), in)
	}
}

// more reads how a step is undone, and how much time and how many attempts it has.
func (p *parser) more(s stepText) func(*StepOf[fields], itemsAround) {
	var undo func(itemsAround) *action
	if at, ok := s.members["undo"]; ok {
		if o, ok := at.object("what undoes a step"); ok {
			p.checkUndo(o)
			undo = p.action(o, s.items)
		}
	}
	var within time.Duration
	if at, ok := s.members["within"]; ok {
		within = at.duration()
	}
	var heartbeat time.Duration
	if at, ok := s.members["heartbeat"]; ok {
		heartbeat = at.duration()
	}
	var attempts *Attempts
	if at, ok := s.members["attempts"]; ok {
		attempts = at.attempts()
	}
	return func(step *StepOf[fields], in itemsAround) {
		if undo != nil {
			step.undoneBy(undo(in))
		}
		if within != 0 {
			step.Within(within)
		}
		if heartbeat != 0 {
			step.Heartbeat(heartbeat)
		}
		if attempts != nil {
			step.Attempts(*attempts)
		}
	}
}

func (p place) attempts() *Attempts {
	var a Attempts
	o, ok := p.object("how often a step is tried")
	if !ok {
		return &a
	}
	o.only("attempts", "max", "first", "longest")
	if at, ok := o.members["max"]; ok {
		a.Max = at.integer(1)
	}
	if at, ok := o.members["first"]; ok {
		a.First = at.duration()
	}
	if at, ok := o.members["longest"]; ok {
		a.Longest = at.duration()
	}
	return &a
}

func (p *parser) ask(s stepText) adder {
	p.closed = false // answers set what they like
	do := func(itemsAround) *action { return nil }
	about := ""
	if v, _ := scalar(s.what.Node); s.what.Kind != yaml.ScalarNode || v != nil {
		do, about = p.call(s.object, s.what, s.items), s.what.Value
	}
	more := p.more(s)
	return func(b *Steps[fields], in itemsAround) {
		more(b.add(&task{name: s.name, kind: kindAnswer, about: about, do: do(in)}), in)
	}
}

func (p *parser) receive(s stepText) adder {
	t := p.trigger(s.object)
	var take mapping
	if at, ok := s.members["take"]; ok {
		take = at.mapping(p.checkEvent(s.object))
	}
	more := p.more(s)
	return func(b *Steps[fields], in itemsAround) {
		b.saga.triggers = append(b.saga.triggers, t)
		more(b.add(&task{name: s.name, kind: kindReceive, typeOf: t.typeOf, receive: func(data map[string]json.RawMessage, event json.RawMessage) (map[string]json.RawMessage, error) {
			members, err := asFields(event)
			if err != nil {
				return nil, err
			}
			return take.changes(data, members)
		}}), in)
	}
}

func (p *parser) wait(s stepText) adder {
	v := s.what.value(p.uses(s.items))
	about := ""
	if v.literal != nil {
		about = delivery.Duration(s.what.duration()).String()
	}
	return func(b *Steps[fields], in itemsAround) {
		b.add(&task{name: s.name, kind: kindWait, about: about, until: func(now time.Time, data map[string]json.RawMessage) (time.Time, error) {
			data, err := in.over(data)
			if err != nil {
				return now, err
			}
			text, err := v.text(data)
			if err != nil {
				return now, err
			}
			if at, err := time.Parse(time.RFC3339, text); err == nil {
				return at, nil
			}
			var d delivery.Duration
			if d.UnmarshalText([]byte(text)) != nil {
				return now, fmt.Errorf(`it waits for %q, which is neither a time such as "2026-03-01T12:00:00Z" nor a duration such as "90m"`, text)
			}
			return now.Add(time.Duration(d)), nil
		}})
	}
}

func (p *parser) onUndo(s stepText) adder {
	o, ok := s.what.object("a command")
	if !ok {
		return nil
	}
	o.only("a command", "command", "id", "body")
	at, ok := o.member("command", "the name of a command of the App")
	if !ok {
		return nil
	}
	undo := p.command(o, at, s.items)
	return func(b *Steps[fields], in itemsAround) {
		b.add(&task{name: s.name, kind: kindUndo, about: at.Value}).undoneBy(undo(in))
	}
}

func (p *parser) fail(s stepText) adder {
	code, ok := s.what.text("the code of the failure")
	if !ok {
		return nil
	}
	reason := ""
	if at, ok := s.members["reason"]; ok {
		reason, _ = at.text("a text")
	}
	return func(b *Steps[fields], _ itemsAround) { b.Fail(s.name, code, reason) }
}
