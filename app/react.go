package app

import (
	"context"

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
// for as long as keys are kept. The events of the command name it as their cause, and have its correlation id.
func (s *Service) React(ctx context.Context, at delivery.Event, name, id string, command any) (commands.Result, error) {
	o := commands.Options{
		Receipt:     &commands.ReceiptRequest{Scope: "delivery", Key: uuid.NewSHA1(at.MessageID, []byte(name+"\x00"+id)).String()},
		CausationID: at.ID.String(),
	}
	if m, err := commands.ParseMetadata(at.Metadata); err == nil {
		o.CorrelationID, o.TraceParent, o.TraceState = m.CorrelationID, m.TraceParent, m.TraceState
	}
	return s.Do(ctx, name, id, command, o)
}
