// Package inventory keeps the stock in step with orders: what a cancelled order has reserved is released, and who buys is told when
// there is little left of an article. It knows the events of orders and stock, and runs a command.
package inventory

import (
	"context"
	"embed"
	"errors"
	"sync"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/mail"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
)

//go:embed mails
var files embed.FS

// Low is how many available units of an article are few: who has less is told of it.
const Low = 10

const (
	alerts = "low-stock-alerts"
	from   = "Shop <stock@shop.example>"
	to     = "purchasing@shop.example"
)

var template = delivery.MailTemplate{Subject: "{{.SKU}}: {{.Available}} left", Text: "mails/low.txt"}

// Module returns the service.
func Module() app.Module {
	levels := &levels{bySKU: make(map[string]level)}
	return app.Module{
		Name:      "inventory",
		Templates: files,
		Subscriptions: []delivery.Subscription{
			{
				Definition: delivery.Definition{Description: "Releases what a cancelled order has reserved"},
				Handler:    delivery.Handle("cancelled-orders", release),
			},
			{
				Definition: delivery.Definition{Description: "Tells who buys when there is little left of an article"},
				Handler:    delivery.Handle(alerts, levels.watch),
			},
		},
	}
}

// release has each article of an order that was cancelled released. The command names no quantity: what the order has reserved when the
// command is decided is released, so that nothing which happens meanwhile can make it too much.
func release(ctx context.Context, e order.Cancelled, at delivery.Event) error {
	done := make(map[string]bool, len(e.Lines))
	for _, l := range e.Lines {
		if done[l.SKU] {
			continue
		}
		done[l.SKU] = true
		if _, err := app.ServiceOf(ctx).React(ctx, at, "stock.release-all", l.SKU, stock.ReleaseAll{SKU: l.SKU, OrderID: e.ID, At: e.At}); err != nil {
			return err
		}
	}
	return nil
}

// levels has stocks as they were after the last event that was looked at, of as many articles as memory is to be used for. Without it each
// event would be a reading of its stream, and those get long.
type levels struct {
	mu    sync.Mutex
	bySKU map[string]level // by stream
}

type level struct {
	version int64
	stock   stock.Stock // without reservations of single orders
}

const maxLevels = 100_000

// watch sends a mail when an event has taken an article below Low: not again before another has taken it above.
func (l *levels) watch(ctx context.Context, e stock.Event, at delivery.Event) error {
	s := app.ServiceOf(ctx)
	before, err := l.before(ctx, s, at)
	if errors.Is(err, commands.ErrNoVersion) {
		return nil // the stream was deleted since
	}
	if err != nil {
		return err
	}
	now := e.Evolve(before)
	now.Reservations = nil
	if before.Available() >= Low && now.Available() < Low {
		if err := alert(ctx, s, now.Available(), at); err != nil {
			return err
		}
	}
	l.keep(at.Stream, level{at.Version, now})
	return nil
}

// before returns the stock as it was before an event.
func (l *levels) before(ctx context.Context, s *app.Service, at delivery.Event) (stock.Stock, error) {
	if at.Version == 0 {
		return stock.Stock{}, nil
	}
	l.mu.Lock()
	known, ok := l.bySKU[at.Stream]
	l.mu.Unlock()
	if ok && known.version == at.Version-1 {
		return known.stock, nil
	}
	state, _, err := s.Commands.State(ctx, at.Stream, commands.AtVersion(at.Version-1))
	before, _ := state.(stock.Stock)
	before.Reservations = nil
	return before, err
}

func (l *levels) keep(stream string, now level) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.bySKU) >= maxLevels {
		clear(l.bySKU)
	}
	l.bySKU[stream] = now
}

func alert(ctx context.Context, s *app.Service, available int64, at delivery.Event) error {
	t, err := s.Mailer.Template(template)
	if err != nil {
		return err
	}
	content, err := t.Execute(map[string]any{"SKU": eventstore.StreamID(at.Stream), "Available": available, "Low": Low})
	if err != nil {
		return err
	}
	return s.SendMail(ctx, mail.Mail{ID: mail.ID(alerts, at.MessageID), From: from, To: to, At: at.RecordedAt, Content: content})
}
