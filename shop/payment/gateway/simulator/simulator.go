package simulator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/57528e99/recount/shop/payment/gateway"
)

// Config says how a gateway behaves. All may be left out.
type Config struct {
	// Plan says what goes wrong. Default: nothing.
	Plan Plan
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	// Delay is how long after a request its callback is due. Default: 1s.
	Delay time.Duration
	// Callback is told, by Deliver, the answers that come late or twice. An answer
	// for which it returns an error is told again. Default: nobody is told.
	Callback func(context.Context, gateway.Answer) error
	// Keep writes an answer down before it counts, one at a time. If it returns an
	// error the answer does not count, and the gateway is unavailable. Default: answers
	// are in memory only.
	Keep func(gateway.Answer) error
	// Past are the answers that were kept before, in that order.
	Past []gateway.Answer
}

// Gateway is a payment gateway that takes no money. It is safe for concurrent use.
type Gateway struct {
	config Config

	mu       sync.Mutex
	answers  []gateway.Answer
	byKey    map[string]int // index in answers
	books    map[string]book
	attempts map[string]int // without an answer, by key
	waiting  []waiting
}

var _ gateway.Gateway = (*Gateway)(nil)

// waiting is an answer that is to be given later.
type waiting struct {
	due time.Time
	op  gateway.Operation
	r   gateway.Request
}

// New returns a gateway.
func New(c Config) *Gateway {
	if c.Plan == nil {
		c.Plan = func(gateway.Operation, gateway.Request, int) Fault { return None }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.Delay = cmp.Or(c.Delay, time.Second)
	if c.Callback == nil {
		c.Callback = func(context.Context, gateway.Answer) error { return nil }
	}
	if c.Keep == nil {
		c.Keep = func(gateway.Answer) error { return nil }
	}
	g := &Gateway{config: c, byKey: make(map[string]int), books: make(map[string]book), attempts: make(map[string]int)}
	for _, a := range c.Past {
		g.remember(a)
	}
	return g
}

// Authorize holds an amount.
func (g *Gateway) Authorize(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.take(ctx, gateway.Authorize, r)
}

// Capture takes an amount that is held.
func (g *Gateway) Capture(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.take(ctx, gateway.Capture, r)
}

// Void gives up what is held.
func (g *Gateway) Void(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.take(ctx, gateway.Void, r)
}

// Refund gives an amount back.
func (g *Gateway) Refund(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.take(ctx, gateway.Refund, r)
}

// Deliver gives the answers that are due by the clock to the callback, and returns
// how many it has taken. The error joins those of the callback.
func (g *Gateway) Deliver(ctx context.Context) (delivered int, err error) {
	for _, w := range g.takeDue() {
		if e := g.deliver(ctx, w); e != nil {
			err = errors.Join(err, fmt.Errorf("answer to %s for order %s: %w", w.op, w.r.OrderID, e))
			g.mu.Lock()
			g.waiting = append(g.waiting, w)
			g.mu.Unlock()
			continue
		}
		delivered++
	}
	return delivered, err
}

// Answers returns the answers to all requests that were carried out or declined,
// one for a key, in the order in which they were judged.
func (g *Gateway) Answers() []gateway.Answer {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.answers)
}

// Amounts returns what was done for an order.
func (g *Gateway) Amounts(orderID string) Amounts {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.books[orderID].Amounts
}

// take takes a request, and lets it meet its fault. One that was answered before
// gets that answer.
func (g *Gateway) take(ctx context.Context, op gateway.Operation, r gateway.Request) (gateway.Answer, error) {
	if ctx.Err() != nil {
		return gateway.Answer{}, fmt.Errorf("%w: %w", gateway.ErrUnavailable, ctx.Err())
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fault := None
	if _, known := g.byKey[r.Key]; !known {
		g.attempts[r.Key]++
		fault = g.config.Plan(op, r, g.attempts[r.Key])
	}
	switch fault {
	case Unavailable:
		return gateway.Answer{}, gateway.ErrUnavailable
	case LostRequest:
		return gateway.Answer{}, gateway.ErrUnknown
	case Late:
		g.answerLater(op, r)
		return gateway.Answer{}, gateway.ErrPending
	}
	a, err := g.carryOut(op, r, fault == Declined)
	if err != nil {
		return gateway.Answer{}, err
	}
	switch fault {
	case LostAnswer:
		return gateway.Answer{}, gateway.ErrUnknown
	case Twice:
		g.answerLater(op, r)
	}
	return a, a.Err()
}

// carryOut does what is asked for, unless that was done before, and returns the
// answer. The caller holds the lock.
func (g *Gateway) carryOut(op gateway.Operation, r gateway.Request, decline bool) (gateway.Answer, error) {
	if i, known := g.byKey[r.Key]; known {
		return g.answers[i], expectSame(g.answers[i], op, r)
	}
	a := g.books[r.OrderID].judge(op, r)
	if decline && a.Declined == "" {
		a.Declined = "the card was declined"
	}
	a.At = g.config.Now().UTC()
	if err := g.config.Keep(a); err != nil {
		return gateway.Answer{}, fmt.Errorf("%w: %w", gateway.ErrUnavailable, err)
	}
	g.remember(a)
	return a, nil
}

// expectSame refuses a request whose key was used for another.
func expectSame(a gateway.Answer, op gateway.Operation, r gateway.Request) error {
	if a.Operation == op && a.OrderID == r.OrderID && (a.AmountMinor == r.AmountMinor || op == gateway.Void) {
		return nil
	}
	return &gateway.DeclinedError{Operation: op, OrderID: r.OrderID, Reason: "the idempotency key was used for something else"}
}

func (g *Gateway) remember(a gateway.Answer) {
	g.byKey[a.Key] = len(g.answers)
	g.answers = append(g.answers, a)
	g.books[a.OrderID] = g.books[a.OrderID].with(a)
	delete(g.attempts, a.Key)
}

func (g *Gateway) answerLater(op gateway.Operation, r gateway.Request) {
	g.waiting = append(g.waiting, waiting{due: g.config.Now().Add(g.config.Delay), op: op, r: r})
}

// takeDue takes what is due out of what waits, so that of several deliveries at
// once each has its own.
func (g *Gateway) takeDue() (due []waiting) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.config.Now()
	g.waiting = slices.DeleteFunc(g.waiting, func(w waiting) bool {
		if w.due.After(now) {
			return false
		}
		due = append(due, w)
		return true
	})
	return due
}

func (g *Gateway) deliver(ctx context.Context, w waiting) error {
	g.mu.Lock()
	a, err := g.carryOut(w.op, w.r, false)
	g.mu.Unlock()
	switch {
	case errors.Is(err, gateway.ErrDeclined): // its key was used for another meanwhile: there is no answer to give
		return nil
	case err != nil:
		return err
	}
	// Without the lock: the callback may ask for more.
	return g.config.Callback(ctx, a)
}
