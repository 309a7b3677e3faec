package checkout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/sagas"
	service "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
)

// CodeDeclined is what a checkout fails with if the gateway has not held the money, or not taken it.
const CodeDeclined = "declined"

// payments are the steps that ask the gateway. All that it does not answer for good is asked again with the same key.
type payments struct{ service service.Service }

func request(key string, c *checkout) gateway.Request {
	return gateway.Request{Key: key, OrderID: c.OrderID, AmountMinor: c.TotalMinor, Currency: c.Currency}
}

func (p payments) authorize(ctx context.Context, call sagas.Call, c *checkout) error {
	return unlessDeclined(p.service.Authorize(ctx, app.ServiceOf(ctx), request(call.Key, c)))
}

// void may be asked for before the gateway has heard of the authorization: none comes after that.
func (p payments) void(ctx context.Context, call sagas.Call, c *checkout) error {
	r := request(call.Key, c)
	r.AmountMinor = 0
	return unlessDeclined(p.service.Void(ctx, app.ServiceOf(ctx), r))
}

func (p payments) capture(ctx context.Context, call sagas.Call, c *checkout) error {
	return unlessDeclined(p.service.Capture(ctx, app.ServiceOf(ctx), request(call.Key, c)))
}

// refund undoes a capture of which nobody may know the outcome: it asks for that first, with the key of the capture, so that whatever is on
// its way has come.
func (p payments) refund(ctx context.Context, call sagas.Call, c *checkout) error {
	log := app.ServiceOf(ctx)
	switch err := p.service.Capture(ctx, log, request(call.Undoes, c)); {
	case errors.Is(err, gateway.ErrDeclined):
		return nil // and never will be
	case err != nil:
		return err
	}
	return unlessDeclined(p.service.Refund(ctx, log, request(call.Key, c)))
}

// unlessDeclined makes an error of what was declined that is not tried again.
func unlessDeclined(err error) error {
	if errors.Is(err, gateway.ErrDeclined) {
		return sagas.Fatal(CodeDeclined, err)
	}
	return err
}

// giveBack undoes all that was done for an order and may be under way, whoever asked for it: what is held is given up, and the gateway holds and
// takes nothing after that. It declines if it has taken all before: then it was taken for good, and is refunded.
func (p payments) giveBack(ctx context.Context, c *checkout) error {
	err := p.void(ctx, c.call(gateway.Void), c)
	if !errors.Is(err, gateway.ErrDeclined) {
		return err
	}
	state, _, err := app.ServiceOf(ctx).Commands.State(ctx, "payment-"+c.OrderID, commands.Moment{})
	if err != nil {
		return err
	}
	paid, _ := state.(payment.Payment)
	call := c.call(gateway.Refund)
	call.Undoes = cmp.Or(paid.CaptureKey(), c.call(gateway.Capture).Key)
	return p.refund(ctx, call, c)
}

// call is what a reaction asks the gateway with. It is asked for each operation once, so the key is that of the order.
func (c checkout) call(op gateway.Operation) sagas.Call {
	return sagas.Call{ID: c.OrderID, Key: fmt.Sprintf("%s-%s/%s", Name, c.OrderID, op)}
}

// insist has a reaction ask the gateway again until it answers. What it declines is in the log, as it is in the end that nobody waits for an answer
// any more: then the order is given up, and whatever the gateway does later is given back.
func (r reactions) insist(ctx context.Context, at delivery.Event, op gateway.Operation, c checkout, err error) error {
	switch {
	case err == nil, errors.Is(err, gateway.ErrDeclined):
		return nil
	case at.Attempt < r.attempts.Max:
		return delivery.RetryAfter(err, r.attempts.Pause(at.Attempt))
	}
	return service.Record(ctx, app.ServiceOf(ctx), gateway.Answer{
		Operation: op, Key: c.call(op).Key + "/given-up", OrderID: c.OrderID, AmountMinor: c.TotalMinor, Currency: c.Currency,
		Declined: fit(fmt.Sprintf("%d attempts failed, the last with: %v", at.Attempt, err)), At: time.Now(),
	})
}

// because returns it with why the order is given up.
func (c checkout) because(reason string) checkout {
	c.Failure.Error = reason
	return c
}

// reason says why an order is given up, as its event takes it.
func (c checkout) reason() string { return fit("checkout: " + c.Failure.Error) }

// fit returns a text as events take a reason.
func fit(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(text) > goods.MaxReasonBytes {
		text = strings.ToValidUTF8(text[:goods.MaxReasonBytes], "")
	}
	return strings.TrimSpace(text)
}
