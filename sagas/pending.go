package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"

	"github.com/google/uuid"
)

// Pending is a step that is open, or is being undone, with what it stands for.
type Pending struct {
	Step
	// Kind is command, call, answer (a step that somebody is to answer), receive or wait.
	Kind string
	// Command is that of kind command.
	Command Command
	// Type is that of the event that a step of kind receive waits for.
	Type string

	action *action
	data   map[string]json.RawMessage
}

// Pending returns the steps of an instance that are open or are being undone, in the order in which they were first begun. The error is that of
// a command that cannot be made.
func (s *Saga) Pending(i Instance) ([]Pending, error) {
	var all []Pending
	for _, step := range i.Steps {
		if step.Status != Open && step.Status != Undoing {
			continue
		}
		p := Pending{Step: step, data: i.DataOf(step.Name)}
		if t := s.find(step.Name); t != nil {
			p.Kind, p.action = string(t.kind), t.action(step.Status == Undoing)
			if t.kind == kindReceive {
				p.Type = s.typeName(t)
			}
		}
		switch {
		case p.action == nil:
		case p.action.command != nil:
			var err error
			if p.Command, err = p.action.command(p.data); err != nil {
				return nil, err
			}
			p.Kind = string(kindCommand)
		case step.Status == Undoing:
			p.Kind = string(kindCall)
		}
		all = append(all, p)
	}
	return all, nil
}

// Request returns the body of the request of a step by HTTP, as JSON; nil: it sends none.
func (p Pending) Request() (json.RawMessage, error) {
	if p.action == nil || p.action.request == nil {
		return nil, nil
	}
	return p.action.request.body(p.data)
}

// Answer returns what the body of an answer changes of the data, of a step by HTTP.
func (p Pending) Answer(body json.RawMessage) (changes map[string]json.RawMessage, err error) {
	if p.action == nil || p.action.request == nil {
		return nil, errors.New("it sends no request")
	}
	return p.action.request.taken(p.data, body)
}

// Call calls the function of a step that has one, and returns the changes of the data.
func (p Pending) Call(ctx context.Context, c Call) (changes map[string]json.RawMessage, err error) {
	if p.action == nil || p.action.call == nil {
		return nil, nil
	}
	return p.action.call(ctx, c, p.data)
}

// InputOf returns what an event is to the saga, a Begin or a Tell, and the id of the instance; nil: it is about none.
func (s *Saga) InputOf(event any, message uuid.UUID) (Input, string, error) {
	of := reflect.TypeOf(event)
	name := s.typeOf(of, "")
	for _, starts := range []bool{true, false} {
		for _, t := range s.triggers {
			if s.typeOf(t.event, t.typeOf) != name || t.starts != starts {
				continue
			}
			id, data, err := t.of(event)
			if err != nil {
				return nil, "", err
			}
			if id == "" {
				continue
			}
			text, err := json.Marshal(event)
			if err != nil {
				return nil, "", err
			}
			m := Message{message, name, text}
			if starts {
				return Begin{id, data, m}, id, nil
			}
			return Tell{id, m}, id, nil
		}
	}
	return nil, "", nil
}
