// Package notification writes to customers: when an order is placed, and whenever its status changes. It knows the events of orders and
// nothing else of the shop.
package notification

import (
	"context"
	"embed"
	"errors"
	"sync/atomic"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
)

//go:embed mails
var files embed.FS

const (
	subscription = "order-mails"
	from         = "Shop <orders@shop.example>"
)

var template = delivery.MailTemplate{
	Subject: `{{if eq .Status "placed"}}Thank you for your order {{.ID}}{{else}}Your order {{.ID}} is {{.Status}}{{end}}`,
	Text:    "mails/order.txt", HTML: "mails/order.html",
}

// Module returns the service.
func Module() app.Module {
	n := make(counts, len(outcomes))
	return app.Module{
		Name:      "notification",
		Templates: files,
		Subscriptions: []delivery.Subscription{{
			Definition: delivery.Definition{Description: "Tells customers that their order was placed, and that its status has changed"},
			Handler:    delivery.Handle(subscription, n.tell),
		}},
		Metrics: []app.Metric{{
			Name: "shop_order_events_total", Counter: true, Labels: []string{"outcome"},
			Help: "Events of orders that this process has handled, by what became of them: sent (a mail), no_address, unchanged (the status was the same before), deleted (the order).",
			Collect: func(_ context.Context, _ *app.Service, sample func(float64, ...string)) error {
				for i, o := range outcomes {
					sample(float64(n[i].Load()), o)
				}
				return nil
			},
		}},
	}
}

var outcomes = [...]string{"sent", "no_address", "unchanged", "deleted"}

const (
	sent = iota
	noAddress
	unchanged
	deleted
)

// counts has how many events had an outcome.
type counts []atomic.Int64

// tell sends a mail about what an event has changed.
func (n counts) tell(ctx context.Context, e order.Event, at delivery.Event) error {
	s := app.ServiceOf(ctx)
	before, err := orderBefore(ctx, s, e, at)
	if errors.Is(err, commands.ErrNoVersion) {
		n[deleted].Add(1)
		return nil
	}
	if err != nil {
		return err
	}
	switch now := e.Evolve(before); {
	case now.Email == nil:
		n[noAddress].Add(1)
	case now.Status == before.Status:
		n[unchanged].Add(1)
	default:
		if err := send(ctx, s, now, at); err != nil {
			return err
		}
		n[sent].Add(1)
	}
	return nil
}

// orderBefore returns the order as it was before an event: what the events before it in the log say, whatever has come since.
func orderBefore(ctx context.Context, s *app.Service, e order.Event, at delivery.Event) (order.Order, error) {
	if _, ok := e.(order.Placed); ok {
		return order.Order{}, nil
	}
	state, _, err := s.Commands.State(ctx, at.Stream, commands.AtVersion(at.Version-1))
	before, _ := state.(order.Order)
	return before, err
}

// letter is what templates are over: an order, and how many decimals its amounts have.
type letter struct {
	order.Order
	Digits int
}

func send(ctx context.Context, s *app.Service, o order.Order, at delivery.Event) error {
	t, err := s.Mailer.Template(template)
	if err != nil {
		return err
	}
	content, err := t.Execute(letter{o, money.Digits(o.Currency)})
	if err != nil {
		return err
	}
	return s.SendMail(ctx, mail.Mail{ID: mail.ID(subscription, at.MessageID), From: from, To: *o.Email, At: at.RecordedAt, Content: content})
}
