package checkout

import (
	"context"
	"errors"
	"strings"
	"unicode"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
)

// CodeDeclined is what a checkout fails with if the gateway has not held the money, or not taken it.
const CodeDeclined = "declined"

// payments are the steps that ask the gateway. All that it does not answer for good is asked again with the same key.
type payments struct{ service payment.Service }

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

// reason says why an order is given up, as its event takes it.
func (c checkout) reason() string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8("checkout: "+c.Failure.Error, "?"))
	if len(text) > goods.MaxReasonBytes {
		text = strings.ToValidUTF8(text[:goods.MaxReasonBytes], "")
	}
	return strings.TrimSpace(text)
}
