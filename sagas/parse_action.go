package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/57528e99/recount/delivery"
)

// action reads what a command, a call or a request does.
func (p *parser) action(o object, items []string) func(itemsAround) *action {
	if at, ok := o.members["command"]; ok {
		return p.command(o, at, items)
	}
	if at, ok := o.members["http"]; ok {
		return p.request(o, at, items)
	}
	at, ok := o.members["call"]
	if !ok {
		return func(itemsAround) *action { return nil }
	}
	return p.call(o, at, items)
}

func (p *parser) command(o object, at place, items []string) func(itemsAround) *action {
	name, ok := at.text("the name of a command of the App")
	if ok && p.registry.Commands != nil && !slices.Contains(p.registry.Commands, name) {
		at.mistake("there is no command %q: there are %s", name, listed(slices.Sorted(slices.Values(p.registry.Commands))))
	}
	id, body := value{}, value{literal: json.RawMessage("{}")}
	if at, ok := o.member("id", `that of the stream, as in {"from": "/order"}`); ok {
		id = at.value(p.uses(items))
	}
	if at, ok := o.members["body"]; ok {
		body = at.value(p.uses(items))
	}
	return func(in itemsAround) *action {
		return &action{command: func(data map[string]json.RawMessage) (Command, error) {
			data, err := in.over(data)
			if err != nil {
				return Command{}, err
			}
			c := Command{Name: name}
			if c.ID, err = id.text(data); err != nil {
				return Command{}, fmt.Errorf("the id of command %s: %w", name, err)
			}
			text, err := body.in(data)
			c.Command = text
			return c, err
		}}
	}
}

// function returns a function by the name that is the value of a member.
func (p *parser) function(at place) Function {
	name, ok := at.text("the name of a function")
	f := p.registry.Functions[name]
	if ok && f == nil {
		at.mistake("there is no function %q: there are %s", name, listed(slices.Sorted(maps.Keys(p.registry.Functions))))
	}
	return f
}

func (p *parser) call(o object, at place, items []string) func(itemsAround) *action {
	f, with, take := p.function(at), value{from: &pointer{}}, mapping(nil)
	if at, ok := o.members["with"]; ok {
		with = at.value(p.uses(items))
	}
	if at, ok := o.members["take"]; ok {
		take = at.mapping(func(place, pointer) {})
	}
	return func(in itemsAround) *action {
		return &action{call: func(ctx context.Context, c Call, data map[string]json.RawMessage) (map[string]json.RawMessage, error) {
			data, err := in.over(data)
			if err != nil {
				return nil, Fatal(CodeDefinition, err)
			}
			input, err := with.in(data)
			if err != nil {
				return nil, Fatal(CodeDefinition, err)
			}
			answer, err := f(ctx, c, input)
			if err != nil || len(take) == 0 {
				return nil, err
			}
			text, err := json.Marshal(answer)
			if err != nil {
				return nil, Fatal(CodeDefinition, err)
			}
			members, err := asFields(text)
			if err != nil {
				return nil, Fatal(CodeDefinition, fmt.Errorf("the answer of %s: %w", at.Value, err))
			}
			return take.changes(data, members)
		}}
	}
}

// checkUndo notes what is wrong with the members of what undoes a step.
func (p *parser) checkUndo(o object) {
	var kinds []string
	for _, kind := range []string{"command", "call", "http"} {
		if _, is := o.members[kind]; is {
			kinds = append(kinds, kind)
		}
	}
	switch {
	case len(kinds) != 1:
		o.mistake("a step is undone by one of command, call and http")
	case kinds[0] == "command":
		o.only("undo by a command", "command", "id", "body")
	default:
		o.only("undo by "+kinds[0], kinds[0], "with", "take")
	}
}

// request reads what a step by HTTP sends, and where.
func (p *parser) request(o object, at place, items []string) func(itemsAround) *action {
	to := p.requestTo(at)
	with, take := value{from: &pointer{}}, mapping(nil)
	if at, ok := o.members["with"]; ok {
		with = at.value(p.uses(items))
	}
	if at, ok := o.members["take"]; ok {
		take = at.mapping(func(place, pointer) {})
	}
	return func(in itemsAround) *action {
		r := &request{to: to, body: func(data map[string]json.RawMessage) (json.RawMessage, error) {
			data, err := in.over(data)
			if err != nil {
				return nil, err
			}
			return with.in(data)
		}}
		if len(take) > 0 {
			r.take = func(data map[string]json.RawMessage, answer json.RawMessage) (map[string]json.RawMessage, error) {
				members, err := asFields(answer)
				if err != nil {
					return nil, err
				}
				data, err = in.over(data)
				if err != nil {
					return nil, err
				}
				return take.changes(data, members)
			}
		}
		return &action{request: r}
	}
}

// requestTo reads where a request goes: it is the target of a subscription, and checked as one.
func (p *parser) requestTo(at place) (to Request) {
	o, ok := at.object("where a request goes")
	if !ok || !o.only("a request", "url", "method", "headers", "timeout", "rate_limit", "auth", "secret") {
		return to
	}
	v := at.value(func(place, pointer) {})
	if v.literal == nil {
		at.mistake("it is written as it is, and cannot be made of the data: what is sent is, under with")
		return to
	}
	kind := delivery.KindHTTP
	if _, signs := o.members["secret"]; signs {
		kind = delivery.KindWebhook
	}
	text, _ := json.Marshal(map[string]any{"target": map[string]json.RawMessage{kind: v.literal}}) // of JSON
	d, err := delivery.ParseDefinition(text, "step")
	var invalid *delivery.InvalidError
	if errors.As(err, &invalid) {
		for _, m := range invalid.Mistakes {
			at.at(strings.TrimPrefix(m.Pointer, "/target/"+kind)).mistake("%s", m.Reason)
		}
		return to
	}
	to.HTTPTarget = *d.Target.Requests()
	if d.Target.Webhook != nil {
		to.Secret = d.Target.Webhook.Secret
	}
	return to
}
