// Package notification writes to customers: when an order is placed, whenever its status changes, and when money is given back. It knows the
// events of orders, payments and customers, and nothing else of the shop.
//
// Mails go to the address that the order has, else to the one that its customer has then.
package notification

import (
	"context"
	"embed"
	"errors"
	"strings"
	"sync/atomic"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail"
	"github.com/57528e99/recount/domain/customer"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
)

//go:embed mails
var files embed.FS

const (
	orderMails  = "order-mails"
	refundMails = "refund-mails"
	from        = "Shop <orders@shop.example>"
)

var (
	orderTemplate = delivery.MailTemplate{
		Subject: `{{if eq .Status "placed"}}Thank you for your order {{.ID}}{{else}}Your order {{.ID}} is {{.Status}}{{end}}`,
		Text:    "mails/order.txt", HTML: "mails/order.html",
	}
	refundTemplate = delivery.MailTemplate{
		Subject: `Your money for order {{.ID}}`,
		Text:    "mails/refund.txt", HTML: "mails/refund.html",
	}
)

// Module returns the service.
func Module() app.Module {
	n := make(counts, len(outcomes))
	return app.Module{
		Name:      "notification",
		Templates: files,
		Subscriptions: []delivery.Subscription{
			{
				Definition: delivery.Definition{Description: "Tells customers that their order was placed, and that its status has changed"},
				Handler:    delivery.Handle(orderMails, n.tell),
			},
			{
				Definition: delivery.Definition{Description: "Tells customers that they get money back"},
				Handler:    delivery.Handle(refundMails, n.refunded),
			},
		},
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
	now := e.Evolve(before)
	if now.Status == before.Status {
		n[unchanged].Add(1)
		return nil
	}
	l := letter{Order: now, Digits: money.Digits(now.Currency)}
	if c, ok := e.(order.Cancelled); ok {
		l.Reason = reasonFor(c.Reason)
	}
	return n.send(ctx, s, orderTemplate, orderMails, l, at)
}

// reasonFor returns a reason as customers read it. That of a checkout is for who runs the shop.
func reasonFor(reason string) string {
	switch text, found := strings.CutPrefix(reason, "checkout: "); {
	case !found:
		return reason
	case strings.Contains(text, "cannot reserve"):
		return "what you ordered is sold out"
	case strings.Contains(text, "declined"):
		return "the payment was declined"
	}
	return "it could not be completed"
}

// refunded sends a mail about money that was given back.
func (n counts) refunded(ctx context.Context, e payment.Refunded, at delivery.Event) error {
	s := app.ServiceOf(ctx)
	state, _, err := s.Commands.State(ctx, "order-"+e.OrderID, commands.Moment{})
	if err != nil {
		return err
	}
	o, _ := state.(order.Order)
	return n.send(ctx, s, refundTemplate, refundMails, letter{Order: o, Digits: money.Digits(e.Currency), RefundMinor: e.AmountMinor}, at)
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

// letter is what templates are over.
type letter struct {
	order.Order
	// Digits is how many decimals its amounts have.
	Digits int
	// Reason is why it was cancelled.
	Reason string
	// RefundMinor is how much was given back.
	RefundMinor int64
}

func (n counts) send(ctx context.Context, s *app.Service, template delivery.MailTemplate, subscription string, l letter, at delivery.Event) error {
	to, err := addressOf(ctx, s, l.Order)
	if err != nil {
		return err
	}
	if to == nil {
		n[noAddress].Add(1)
		return nil
	}
	t, err := s.Mailer.Template(template)
	if err != nil {
		return err
	}
	content, err := t.Execute(l)
	if err != nil {
		return err
	}
	if err := s.SendMail(ctx, mail.Mail{ID: mail.ID(subscription, at.MessageID), From: from, To: *to, At: at.RecordedAt, Content: content}); err != nil {
		return err
	}
	n[sent].Add(1)
	return nil
}

// addressOf returns where mails about an order go: to the address that it has, else to the one that its customer has now; nil: there is none.
func addressOf(ctx context.Context, s *app.Service, o order.Order) (*string, error) {
	if o.Email != nil || o.CustomerID == nil || goods.CheckID("/id", *o.CustomerID) != nil {
		return o.Email, nil
	}
	state, _, err := s.Commands.State(ctx, "customer-"+*o.CustomerID, commands.Moment{})
	c, _ := state.(customer.Customer)
	return c.Email, err
}
