package app

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
)

type serviceKey struct{}

// ServiceOf returns the Service that delivers, from the context that a handler of a subscription is called with. It is nil elsewhere.
func ServiceOf(ctx context.Context) *Service {
	s, _ := ctx.Value(serviceKey{}).(*Service)
	return s
}

// WithService returns a context for the handlers of a Service, as its Deliverer has it.
func WithService(ctx context.Context, s *Service) context.Context {
	return context.WithValue(ctx, serviceKey{}, s)
}

// React is Do for a handler of a subscription: a command that an event, which is being delivered, is the reason for. Its
// idempotency key is made of the message id: of each event a command is run once on a stream, however often the event is delivered,
// for as long as keys are kept. The events of the command name it as their cause, have its correlation id, and
// say that they come via the subscription.
//
// A refusal is the error of the rules, each time the event comes: when it is redriven the command is decided again. The command has
// to be the same each time, as JSON: another one of the same name and id is an *eventstore.ReceiptMismatchError.
func (s *Service) React(ctx context.Context, at delivery.Event, name, id string, command any) (commands.Result, error) {
	text, err := json.Marshal(command, json.Deterministic(true))
	if err != nil {
		return commands.Result{}, fmt.Errorf("command %s: %w", name, err)
	}
	fingerprint := sha256.Sum256(text)
	o := because(at)
	o.Receipt = &commands.ReceiptRequest{
		Scope: "delivery", Key: uuid.NewSHA1(at.MessageID, []byte(name+"\x00"+id)).String(),
		Fingerprint: fingerprint[:], AcceptedOnly: true,
	}
	return s.Do(ctx, name, id, command, o)
}

// Because returns a context for what a handler of a subscription does without React: commands run with it have the event as their cause, as
// those of React have.
func Because(ctx context.Context, at delivery.Event) context.Context {
	return commands.WithCause(ctx, because(at))
}

// because are the options of a command that an event is the reason for, which a subscription has.
func because(at delivery.Event) commands.Options {
	o := commands.CausedBy(at.RecordedEvent)
	if at.Subscription != "" {
		o.Via = "subscription " + at.Subscription
	}
	return o
}
