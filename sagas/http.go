package sagas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/webhook"
)

// Request says where and how a step by HTTP asks. It is that of a subscription's HTTP target: what may be connected to, credentials,
// time-outs and rates are the same. Format has no meaning.
type Request struct {
	delivery.HTTPTarget
	// Secret, if set, is where the secrets are found that requests are signed with, as those of a webhook are: see
	// delivery.WebhookTarget.
	Secret *delivery.Secret `json:"secret,omitzero"`
}

// definition returns what a target is made of.
func (r Request) definition() (delivery.Definition, error) {
	d := delivery.Definition{Name: "step", Target: delivery.TargetConfig{HTTP: &r.HTTPTarget}}
	if r.Secret != nil {
		d.Target = delivery.TargetConfig{Webhook: &delivery.WebhookTarget{HTTPTarget: r.HTTPTarget, Secret: r.Secret}}
	}
	return d.Checked()
}

// about says in a diagram what is asked: without the query.
func (r Request) about() string {
	u, err := url.Parse(r.URL)
	if err != nil {
		return ""
	}
	d, _ := r.definition() // which has the method
	return d.Target.Requests().Method + " " + (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// request is what a step sends.
type request struct {
	to   Request
	body func(data map[string]json.RawMessage) (json.RawMessage, error)
	take func(data map[string]json.RawMessage, answer json.RawMessage) (changes map[string]json.RawMessage, err error)
}

// HTTP adds a step that sends a request, with a body that is made JSON and with the step's key (Call.Key) as its Idempotency-Key: it is sent again after
// an error, as Attempts say, and after a crash. Take changes the data by the body of the answer, at most webhook.MaxAnswer bytes; nil: nothing is
// changed.
//
// An answer of 2xx says that the step is done. One of 4xx but 408, 425 and 429, or of 3xx, fails it at once with a code such as "http-409"; it is undone
// if there was an attempt before, or of 409, for it may have come about. Anything else is tried again, not before the time that the answer says. An answer of 2xx that is too long, or that Take returns an error for, fails the
// step with CodeAnswer; as it has come about, it is undone.
func (s *Steps[D]) HTTP(name string, to Request, body func(D) any, take func(d *D, answer json.RawMessage) error) *StepOf[D] {
	step := s.add(&task{name: name, kind: kindCall, about: to.about(), do: requestAction(to, body, take)})
	step.checkRequest(to)
	return step
}

// UndoHTTP says how the step is undone by a request, as HTTP says. Undoing what was not done must be harmless: an answer of 404 undoes it too.
func (s *StepOf[D]) UndoHTTP(to Request, body func(D) any) *StepOf[D] {
	s.checkRequest(to)
	return s.undoneBy(requestAction(to, body, nil))
}

func (s *StepOf[D]) checkRequest(to Request) {
	var invalid *delivery.InvalidError
	if _, err := to.definition(); errors.As(err, &invalid) {
		for _, m := range invalid.Mistakes {
			s.saga.mistake("step %q: its request: %w", s.task.name, m)
		}
	}
}

func requestAction[D any](to Request, body func(D) any, take func(*D, json.RawMessage) error) *action {
	if body == nil {
		return nil
	}
	r := &request{to: to, body: func(data map[string]json.RawMessage) (json.RawMessage, error) {
		var d D
		if err := unmarshal(data, &d); err != nil {
			return nil, err
		}
		return json.Marshal(body(d))
	}}
	if take != nil {
		r.take = func(data map[string]json.RawMessage, answer json.RawMessage) (map[string]json.RawMessage, error) {
			return Changed(data, func(d *D) error { return take(d, answer) })
		}
	}
	return &action{request: r}
}

// CodeAnswer is that of a step by HTTP whose answer says that it is done, and cannot be read.
const CodeAnswer = "answer"

// requests are the targets of the steps by HTTP of an Engine, by their definitions.
type requests struct {
	mu      sync.Mutex
	targets map[string]*webhook.Target
}

// target returns the one that sends a request, always the same for the same one: it has the connections, tokens and rate.
func (e *Engine) target(to Request) (*webhook.Target, error) {
	d, err := to.definition()
	if err != nil {
		return nil, err
	}
	key, err := d.JSON()
	if err != nil {
		return nil, err
	}
	e.requests.mu.Lock()
	defer e.requests.mu.Unlock()
	if t := e.requests.targets[string(key)]; t != nil {
		return t, nil
	}
	t, err := webhook.New(d, e.config.AllowTargets)
	if err != nil {
		return nil, err
	}
	if e.requests.targets == nil {
		e.requests.targets = make(map[string]*webhook.Target)
	}
	e.requests.targets[string(key)] = t
	return t, nil
}

// Close closes the connections of steps by HTTP that are not in use.
func (e *Engine) Close() {
	e.requests.mu.Lock()
	defer e.requests.mu.Unlock()
	for _, t := range e.requests.targets {
		t.Close()
	}
}

// ask sends the request of a step. The error is that of a call.
func (e *Engine) ask(ctx context.Context, r *request, c Call, data map[string]json.RawMessage) (map[string]json.RawMessage, error) {
	body, err := r.body(data)
	if err != nil {
		return nil, Fatal(CodeDefinition, err)
	}
	to, err := e.target(r.to)
	if err != nil {
		return nil, Fatal(CodeDefinition, err)
	}
	answer, err := to.Ask(ctx, c.Key, body)
	var answered *delivery.ResponseError
	switch outcome, _ := delivery.OutcomeOf(err); {
	case err == nil:
		return r.taken(data, answer)
	case !errors.As(err, &answered), outcome != delivery.PermanentFailure && outcome != delivery.GoneOutcome:
		return nil, err
	case answered.Status/100 == 2:
		return nil, &fatalError{err, CodeAnswer, true}
	case answered.Status == 404 && c.Undoes != "":
		return nil, nil
	}
	// An attempt before may have done it, and of 409 one that is not over.
	return nil, &fatalError{err, fmt.Sprintf("http-%d", answered.Status), c.again || answered.Status == 409}
}

// taken returns what an answer changes of the data.
func (r *request) taken(data map[string]json.RawMessage, answer json.RawMessage) (map[string]json.RawMessage, error) {
	if r.take == nil {
		return nil, nil
	}
	changes, err := r.take(data, answer)
	if err != nil {
		return nil, &fatalError{fmt.Errorf("the answer: %w", err), CodeAnswer, true}
	}
	return changes, nil
}
