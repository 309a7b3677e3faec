package simulator_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
)

// client asks a gateway as doc.go of package gateway says, records the answers in
// a log, and dies between the two.
type client struct {
	*fixture
	config simulator.Config
	kept   []gateway.Answer
	log    map[string]payment.Payment
	// open is what was asked and not yet recorded, by order.
	open map[string]asked
	keys int
}

type asked struct {
	op gateway.Operation
	gateway.Request
}

// start asks for something, if the log allows it.
func (c *client) start(t *rapid.T, op gateway.Operation, orderID string, minor int64) {
	c.keys++
	a := asked{op, gateway.Request{Key: fmt.Sprint("k", c.keys), OrderID: orderID, AmountMinor: minor, Currency: "GBP"}}
	ask := gateway.Answer{Operation: op, Key: a.Key, OrderID: orderID, AmountMinor: minor, Currency: "GBP", At: c.now}
	if events, err := ask.Command().Decide(c.log[orderID]); err == nil && len(events) > 0 {
		c.open[orderID] = a
		c.ask(t, orderID)
	}
}

// ask asks for what is open, and records the answer if there is one and no crash.
func (c *client) ask(t *rapid.T, orderID string) {
	a, ok := c.open[orderID]
	if !ok {
		return
	}
	do := map[gateway.Operation]func(context.Context, gateway.Request) (gateway.Answer, error){
		gateway.Authorize: c.Authorize, gateway.Capture: c.Capture, gateway.Void: c.Void, gateway.Refund: c.Refund,
	}
	answer, err := do[a.op](t.Context(), a.Request)
	switch {
	case errors.Is(err, gateway.ErrUnavailable), errors.Is(err, gateway.ErrUnknown), errors.Is(err, gateway.ErrPending):
	case err != nil && !errors.Is(err, gateway.ErrDeclined):
		t.Fatalf("%+v: %v", a, err)
	case rapid.IntRange(0, 4).Draw(t, "crash") > 0:
		c.record(t, answer)
	}
}

// record writes an answer into the log.
func (c *client) record(t *rapid.T, a gateway.Answer) {
	if command := a.Command(); command != nil {
		events, err := command.Decide(c.log[a.OrderID])
		// Only the answer to an authorization may be of no more use.
		if err != nil && (a.Operation != gateway.Authorize || !errors.Is(err, payment.ErrVoided)) {
			t.Fatalf("the log refuses %+v: %v", a, err)
		}
		for _, e := range events {
			c.log[a.OrderID] = e.Evolve(c.log[a.OrderID])
		}
	}
	if c.open[a.OrderID].Key == a.Key {
		delete(c.open, a.OrderID)
	}
}

// deliver lets the gateway call back, which may fail.
func (c *client) deliver(t *rapid.T, mayFail bool) {
	c.now, c.told = c.now.Add(time.Minute), nil
	if c.refuse = nil; mayFail && rapid.Bool().Draw(t, "callback fails") {
		c.refuse = errors.New("the log is down")
	}
	_, _ = c.Deliver(t.Context())
	if c.refuse == nil {
		for _, a := range c.told {
			c.record(t, a)
		}
	}
}

// restart begins anew with what the gateway has kept; callbacks are lost.
func (c *client) restart() {
	c.config.Past = c.kept
	next := newFixture(c.config)
	if c.fixture != nil {
		next.now = c.now
	}
	c.fixture = next
}

// TestLogAndGatewayAgree: whatever goes wrong, in the end the log has what the
// gateway has done, and nothing else.
func TestLogAndGatewayAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &client{log: make(map[string]payment.Payment), open: make(map[string]asked)}
		faults := simulator.BySeed(rapid.Uint64().Draw(t, "seed"), map[simulator.Fault]float64{
			simulator.Declined: .1, simulator.Unavailable: .1, simulator.LostRequest: .1, simulator.LostAnswer: .15, simulator.Twice: .15, simulator.Late: .15,
		})
		c.config.Plan = func(op gateway.Operation, r gateway.Request, attempt int) simulator.Fault {
			if op != gateway.Authorize && r.AmountMinor == 7 {
				return simulator.Declined // as of an authorization that has expired
			}
			return faults(op, r, attempt)
		}
		c.config.Keep = func(a gateway.Answer) error {
			c.kept = append(c.kept, a)
			return nil
		}
		c.restart()
		orders := []string{"41", "42", "43"}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			order := rapid.SampledFrom(orders).Draw(t, "order")
			open, isOpen := c.open[order]
			switch do := rapid.SampledFrom([]string{"begin", "begin", "begin", "ask", "ask", "give up", "deliver", "restart"}).Draw(t, "do"); {
			case do == "begin" && !isOpen:
				op := rapid.SampledFrom([]gateway.Operation{gateway.Authorize, gateway.Capture, gateway.Capture, gateway.Void, gateway.Refund}).Draw(t, "operation")
				minor := rapid.Int64Range(1, 9).Draw(t, "amount")
				if op == gateway.Authorize {
					minor *= 4
				}
				c.start(t, op, order, minor)
			case do == "ask":
				c.ask(t, order)
			case do == "give up" && open.op == gateway.Authorize:
				delete(c.open, order)
				c.start(t, gateway.Void, order, 0)
			case do == "deliver":
				c.deliver(t, true)
			case do == "restart":
				c.restart()
			}
		}
		for i := 0; len(c.open) > 0; i++ {
			if i == 1000 {
				t.Fatalf("no end of asking for %+v", c.open)
			}
			for _, order := range orders {
				c.ask(t, order)
			}
		}
		c.deliver(t, false)
		c.compare(t, orders)
	})
}

func (c *client) compare(t *rapid.T, orders []string) {
	type movement struct {
		key   string
		minor int64
	}
	atGateway := make(map[movement]bool)
	for _, a := range c.Answers() {
		if a.Declined == "" && (a.Operation == gateway.Capture || a.Operation == gateway.Refund) {
			atGateway[movement{a.Key, a.AmountMinor}] = true
		}
	}
	for _, order := range orders {
		log, there := c.log[order], c.Amounts(order)
		if log.CapturedMinor != there.CapturedMinor || log.RefundedMinor != there.RefundedMinor || log.Capturable() != there.Held() {
			t.Fatalf("order %s: the log has %+v, the gateway %+v", order, log, there)
		}
		for _, s := range log.Steps {
			if s.Do != "capture" && s.Do != "refund" {
				continue
			}
			if m := (movement{s.Key, s.AmountMinor}); !atGateway[m] {
				t.Fatalf("order %s: the gateway does not know of %+v", order, s)
			} else {
				delete(atGateway, m)
			}
		}
	}
	if len(atGateway) > 0 {
		t.Fatalf("the log does not know of %+v", atGateway)
	}
}
