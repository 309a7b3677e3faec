package checkout_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/logcheck/logtest"
	"github.com/57528e99/recount/internal/failpoint"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	paying "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
	"github.com/57528e99/recount/shop/payment/gateway/simulator"
	"github.com/57528e99/recount/tests/pgproxy"
)

// isMutant says that package trials runs this with a bug in the product.
var isMutant = os.Getenv("RECOUNT_TRIAL_MUTANT") != ""

// place is where something goes wrong with an order: a point that is come by for it, at the so-manieth time.
type place struct {
	point failpoint.Point
	// about is the step and how far it is, or the type of an event.
	about string
	nth   int
}

func (p place) String() string { return fmt.Sprintf("%s of %s, time %d", p.point, p.about, p.nth) }

// answered is a point of the test: the gateway has done what it was asked for, who asked does not know.
const answered failpoint.Point = "gateway/answered"

// canFail reports whether there can be an error at the place.
func (p place) canFail() bool {
	return p.point == answered || slices.ContainsFunc(failpoint.Points(), func(i failpoint.PointInfo) bool { return i.Name == p.point && i.Fails })
}

// hits are the places that a process comes by, by orders.
type hits struct {
	mu sync.Mutex
	by map[string][]place
	// at is where something happens to an order, one after the other, and do what: without the lock.
	at      map[string][]place
	do      []func() error
	reached map[string]int
}

func newHits() *hits { return &hits{by: make(map[string][]place), reached: make(map[string]int)} }

func (h *hits) watch(p failpoint.Point, about []string) error {
	if len(about) == 0 {
		return nil
	}
	id, here := about[0], place{p, strings.Join(about[1:], " "), 1}
	h.mu.Lock()
	for _, before := range h.by[id] {
		if before.point == here.point && before.about == here.about {
			here.nth++
		}
	}
	h.by[id] = append(h.by[id], here)
	n := h.reached[id]
	is := n < len(h.at[id]) && h.at[id][n] == here
	if is {
		h.reached[id]++
	}
	h.mu.Unlock()
	if !is {
		return nil
	}
	return h.do[n]()
}

func (h *hits) of(id string) []place {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.by[id])
}

// hasReached reports whether everything has happened to the order that was to.
func (h *hits) hasReached(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reached[id] == len(h.do)
}

// hooked is a gateway after whose answers something happens. An error takes the place of the answer.
type hooked struct {
	gateway.Gateway
	after func(context.Context, gateway.Operation, gateway.Request) error
}

func (g hooked) ask(ctx context.Context, op gateway.Operation, r gateway.Request, do func(context.Context, gateway.Request) (gateway.Answer, error)) (gateway.Answer, error) {
	a, err := do(ctx, r)
	if lost := g.after(ctx, op, r); lost != nil {
		return gateway.Answer{}, lost
	}
	return a, err
}

func (g hooked) Authorize(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.ask(ctx, gateway.Authorize, r, g.Gateway.Authorize)
}

func (g hooked) Capture(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.ask(ctx, gateway.Capture, r, g.Gateway.Capture)
}

func (g hooked) Void(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.ask(ctx, gateway.Void, r, g.Gateway.Void)
}

func (g hooked) Refund(ctx context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.ask(ctx, gateway.Refund, r, g.Gateway.Refund)
}

// The ways of a checkout, and the order's end: ids begin with them.
var ways = map[string]order.Status{
	"sent":       order.StatusShipped,
	"declined":   order.StatusCancelled, // the authorization
	"uncaptured": order.StatusCancelled, // the capture is declined
	"regretted":  order.StatusCancelled, // by the customer, when it is confirmed
	"unheard":    order.StatusCancelled, // the gateway never answers to the authorization, as often as it is asked
	"hanging":    order.StatusCancelled, // the capture does not return, and its deadline passes
}

func wayOf(id string) string {
	way, _, _ := strings.Cut(id, "-")
	return way
}

// ruin is a shop whose processes come to grief. One of them keeps the read models, takes what customers do, and lives.
type ruin struct {
	*world
	t     *testing.T
	db    *pgtest.DB
	began time.Time
	// ahead is how far the clock of sagas is put forward.
	ahead atomic.Int64
	// hang is closed when calls that hang return.
	hang chan struct{}
	// read is how far the log was read; ended are orders whose checkout has ended, hanging those whose call hangs.
	read           int64
	ended, hanging map[string]bool
	serial         int
	// before are the orders of before.
	before []order.Place
}

func newRuin(t *testing.T) *ruin {
	failpoint.OnAll(t, nil) // skips now what would skip in the middle
	r := &ruin{world: &world{flow: flows[0], now: at}, t: t, db: logtest.New(t), began: time.Now(), hang: make(chan struct{})}
	r.world.TB = t
	r.world.gateway = simulator.New(simulator.Config{Plan: func(op gateway.Operation, q gateway.Request, _ int) simulator.Fault {
		if way := wayOf(q.OrderID); way == "declined" && op == gateway.Authorize || way == "uncaptured" && op == gateway.Capture {
			return simulator.Declined
		}
		return simulator.None
	}})
	s := r.open(r.db.DSN, r.app(), app.RoleAPI, app.RoleProjections)
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.close(s) })
	r.world.Test = apptest.Of(t, s)
	r.receive()
	return r
}

// app returns the shop, with further definitions of its checkout.
func (r *ruin) app(more ...*sagas.Saga) app.App {
	m := checkout.Orchestrated(checkout.Config{
		Payments: paying.Service{Gateway: hooked{r.gateway, r.answer}},
		Attempts: sagas.Attempts{Max: 3, First: 10 * time.Millisecond},
	})
	m.Sagas = append(m.Sagas, more...)
	return shop.WithCheckout(m)
}

// answer is what happens when the gateway has done what it was asked for.
func (r *ruin) answer(ctx context.Context, op gateway.Operation, q gateway.Request) error {
	if err := failpoint.FailIn(ctx, answered); err != nil {
		return err
	}
	switch way := wayOf(q.OrderID); {
	case way == "unheard" && op == gateway.Authorize:
		return gateway.ErrUnknown
	case way == "hanging" && op == gateway.Capture: // but whoever refunds is answered
		if s, _ := r.saga(q.OrderID).Step("capture"); s.Status != sagas.Open {
			return nil
		}
		if app.ServiceOf(ctx) == r.Service {
			return gateway.ErrUnknown
		}
		select {
		case <-r.hang:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (r *ruin) open(dsn string, a app.App, roles ...string) *app.Service {
	r.t.Helper()
	s, err := app.Open(r.t.Context(), a, app.Options{DSN: dsn, Schema: r.db.Schema, MaxConns: 8, Roles: roles,
		Now: func() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *ruin) close(s *app.Service) {
	r.t.Helper()
	if err := s.Close(context.WithoutCancel(r.t.Context())); err != nil {
		r.t.Error(err)
	}
}

// process is one that delivers.
type process struct {
	*app.Service
	proxy *pgproxy.Proxy
	// end stops it, once.
	end func()
}

// isIdle reports whether the process has delivered all events up to a position.
func (p *process) isIdle(head int64) bool {
	all := p.Deliverer.Stats()
	return all.Position >= head && !slices.ContainsFunc(all.Subscriptions, func(s delivery.SubscriptionStats) bool { return s.Lag != 0 || s.InFlight+s.Parked > 0 })
}

// start starts a process in which something happens to orders.
func (r *ruin) start(h *hits, a app.App) *process {
	r.t.Helper()
	proxy, err := pgproxy.Start(r.db.DSN, func() pgproxy.Fault { return pgproxy.None })
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		if err := proxy.Close(); err != nil {
			r.t.Error(err)
		}
	})
	p := &process{Service: r.open(proxy.DSN(), a, app.RoleDelivery), proxy: proxy}
	p.end = sync.OnceFunc(func() { r.close(p.Service) })
	if err := p.Start(failpoint.OnAll(r.t, h.watch)); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// standStill cuts the process off its database, as if it were killed or frozen: its partitions are there for others.
func (r *ruin) standStill(p *process) {
	r.t.Helper()
	if err := p.proxy.Redirect("postgres://127.0.0.1:1/none"); err != nil {
		r.t.Fatal(err)
	}
	p.proxy.Cut()
	if _, err := r.db.Pool.Exec(r.t.Context(), `UPDATE `+r.db.Schema+`.subscription_members SET expires_at = now()`); err != nil {
		r.t.Fatal(err)
	}
}

func (r *ruin) wakeUp(p *process) {
	r.t.Helper()
	if err := p.proxy.Redirect(r.db.DSN); err != nil {
		r.t.Fatal(err)
	}
}

// placeAll places orders of several ways, each with an article of its own, so that those that stand still keep nobody waiting.
func (r *ruin) placeAll(ids []string) {
	r.t.Helper()
	r.before = append(r.before, r.orders...)
	r.orders, r.ended, r.hanging = nil, make(map[string]bool), make(map[string]bool)
	var all sync.WaitGroup
	errs := make(chan error, len(ids))
	gate := make(chan struct{}, 8)
	for _, id := range ids {
		o := order.Place{ID: id, Country: "Norway", Currency: "NOK", At: at, Lines: []goods.Line{{SKU: "MUG " + id, Quantity: 2, UnitPriceMinor: 450}}}
		r.orders = append(r.orders, o)
		all.Go(func() {
			gate <- struct{}{}
			defer func() { <-gate }()
			errs <- cmp.Or(r.Do("stock.receive", "MUG "+id, stock.Receive{SKU: "MUG " + id, Quantity: 5, At: at}), r.Do("order.place", id, o))
		})
	}
	all.Wait()
	for range ids {
		if err := <-errs; err != nil {
			r.t.Fatal(err)
		}
	}
}

// drive does what customers do, and who carries the goods, when it is time.
func (r *ruin) drive() {
	r.t.Helper()
	for e, err := range r.Service.Log.ReadAll(r.t.Context(), eventstore.ReadOptions{From: r.read + 1}) {
		if err != nil {
			r.t.Fatal(err)
		}
		r.read = e.Position
		id := strings.TrimPrefix(eventstore.StreamID(e.Stream), checkout.Name+"-")
		switch way := wayOf(id); {
		case e.Type == "OrderConfirmed" && way == "sent":
			err = r.Do("shipment.dispatch", id, shipment.Dispatch{At: at})
		case e.Type == "OrderConfirmed" && way == "regretted":
			err = r.Do("order.cancel", id, order.Cancel{Reason: "changed my mind", At: at})
		case e.Type == "SagaStepScheduled" && way == "hanging" && strings.Contains(string(e.Data), `"capture"`):
			r.hanging[id] = true
		case e.Type == "SagaEnded":
			r.ended[id] = true
		}
		// One that was cancelled meanwhile can be neither.
		if err != nil && !errors.Is(err, order.ErrTransition) && !errors.Is(err, shipment.ErrTransition) {
			r.t.Fatal(err)
		}
	}
}

// until waits until something is true of each order, and lets things happen meanwhile.
func (r *ruin) until(rule, what string, is func(id string) bool) {
	r.t.Helper()
	patience := time.Minute
	if isMutant {
		patience = 10 * time.Second
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		r.drive()
		var not []string
		for _, o := range r.orders {
			if !is(o.ID) {
				not = append(not, o.ID)
			}
		}
		if len(not) == 0 {
			return
		}
		if time.Now().After(end) {
			for _, id := range not[:min(len(not), 5)] {
				var steps []string
				for _, s := range r.saga(id).Steps {
					steps = append(steps, fmt.Sprint(s.Name, " ", s.Status, " until ", s.Until))
				}
				r.t.Logf("%s at %v: is %s: %q", id, r.Service.Sagas.Now(), r.saga(id).Status, steps)
			}
			r.broken(rule, "after %s these are not %s: %q", patience, what, not)
			r.t.FailNow()
		}
	}
}

// The rules, as package trials knows them.
const (
	ruleEnds     = "each order comes to its end"
	ruleEnd      = "each order comes to the end of its way"
	ruleAccounts = "all accounts agree"
	ruleOnce     = "what ended, ended once"
	ruleNothing  = "what comes again changes nothing"
)

// broken reports that a rule is broken.
func (r *ruin) broken(rule, format string, args ...any) {
	r.t.Helper()
	if isMutant {
		fmt.Printf("caught\t%s\t%d\t%s\n", r.t.Name(), time.Since(r.began).Milliseconds(), rule)
	}
	r.t.Errorf(rule+": "+format, args...)
}
