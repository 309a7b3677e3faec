package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/sagas"
	"github.com/57528e99/recount/shop"
	"github.com/57528e99/recount/shop/checkout"
	paymentservice "github.com/57528e99/recount/shop/payment"
	"github.com/57528e99/recount/shop/payment/gateway"
)

// orderSteps is how many steps an order has.
const orderSteps = 5

const benchModule = "bench"

// stepped is what the steps of an order hand on.
type stepped struct {
	OrderID    string       `json:"order_id"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	TotalMinor int64        `json:"total_minor"`
	At         time.Time    `json:"at"`
}

func beginOrder(e order.Placed) (string, stepped) {
	return e.ID, stepped{e.ID, e.Country, e.Currency, e.Lines, e.TotalMinor, e.At}
}

func (d stepped) reserve() stock.ReserveOrder {
	return stock.ReserveOrder{OrderID: d.OrderID, Lines: d.Lines, At: d.At}
}

func (d stepped) authorize() payment.Authorize {
	return payment.Authorize{OrderID: d.OrderID, Key: "authorize-" + d.OrderID, AmountMinor: d.TotalMinor, Currency: d.Currency, At: d.At}
}

func (d stepped) capture() payment.Capture {
	return payment.Capture{OrderID: d.OrderID, Key: "capture-" + d.OrderID, AmountMinor: d.TotalMinor, At: d.At}
}

// members returns the data as an instance has them.
func (d stepped) members() (m map[string]json.RawMessage) {
	text, _ := json.Marshal(d) // of texts and numbers
	_ = json.Unmarshal(text, &m)
	return m
}

// byCommands has an order end by five commands. With its being placed that is 19 events.
func byCommands() *sagas.Saga {
	return sagas.Define("five", 1, func(s *sagas.Steps[stepped]) {
		sagas.StartWith(s, beginOrder)
		s.Command("reserve", func(d stepped) sagas.Command { return sagas.Command{Name: "reserve-order", Command: d.reserve()} })
		s.Command("authorize", func(d stepped) sagas.Command {
			return sagas.Command{Name: "payment.authorize", ID: d.OrderID, Command: d.authorize()}
		})
		s.Command("schedule", func(d stepped) sagas.Command {
			return sagas.Command{Name: "shipment.schedule", ID: d.OrderID, Command: shipment.Schedule{OrderID: d.OrderID, Country: d.Country, At: d.At}}
		})
		s.Command("capture", func(d stepped) sagas.Command {
			return sagas.Command{Name: "payment.capture", ID: d.OrderID, Command: d.capture()}
		})
		s.Command("confirm", func(d stepped) sagas.Command {
			return sagas.Command{Name: "order.confirm", ID: d.OrderID, Command: order.Confirm{At: d.At}}
		})
	})
}

// desk is a shop in this process at which orders are placed, and where one knows when they have come to their end.
type desk struct {
	app     app.App
	service *app.Service
	// follower is that of the read models that are kept here.
	follower follower
	placed   atomic.Int64

	mu sync.Mutex
	// waiting are those who wait for the end of an order, calledAt is when the last call of one was made.
	waiting  map[string]chan ending
	calledAt map[string]time.Time
	between  histogram
}

// ending is how an order has come to its end, and where in the log.
type ending struct {
	position int64
	err      error
}

// commandShop, checkoutShop and callShop return a shop, and the modules of it that are to be here: all but those that send mails.
func commandShop(d *desk) (app.App, []string) {
	return d.with(app.Module{Name: benchModule, Sagas: []*sagas.Saga{byCommands()}, Subscriptions: []delivery.Subscription{d.endedWithSaga()}})
}

func checkoutShop(d *desk) (app.App, []string) {
	c := checkout.Config{Payments: paymentservice.Service{Gateway: promptGateway{}}}
	m := checkout.Orchestrated(c)
	m.Subscriptions = append(m.Subscriptions, delivery.Subscription{
		Definition: delivery.Definition{Start: delivery.Start{At: delivery.AtBeginning}},
		Handler: delivery.Handle("bench-confirmed", func(_ context.Context, e order.Confirmed, at delivery.Event) error {
			d.ended(e.ID, ending{at.Position, nil})
			return nil
		}, delivery.Quick())})
	return d.with(m)
}

func callShop(d *desk) (app.App, []string) {
	saga := sagas.Define("five", 1, func(s *sagas.Steps[stepped]) {
		sagas.StartWith(s, beginOrder)
		for i := range orderSteps {
			s.Call(fmt.Sprintf("call-%d", i), func(_ context.Context, c sagas.Call, _ *stepped) error { d.called(c.ID); return nil })
		}
	})
	return d.with(app.Module{Name: benchModule, Sagas: []*sagas.Saga{saga}, Subscriptions: []delivery.Subscription{d.endedWithSaga()}})
}

func (d *desk) with(m app.Module) (app.App, []string) {
	a := shop.WithCheckout(m)
	var here []string
	for _, one := range a.Modules {
		if one.Name != "notification" && one.Name != "inventory" {
			here = append(here, one.Name)
		}
	}
	return a, here
}

func (d *desk) endedWithSaga() delivery.Subscription {
	return delivery.Subscription{
		Definition: delivery.Definition{Start: delivery.Start{At: delivery.AtBeginning}},
		Handler: delivery.Handle("bench-ended", func(_ context.Context, e sagas.Ended, at delivery.Event) error {
			var err error
			if e.Status != sagas.Completed {
				err = fmt.Errorf("%s: %s: %s", at.Stream, e.Status, e.Error)
			}
			d.ended(strings.TrimPrefix(at.Stream, sagas.StreamOf("five", "")), ending{at.Position, err})
			return nil
		}, delivery.Quick()),
	}
}

// promptGateway answers at once, and takes no money.
type promptGateway struct{}

func (promptGateway) answer(o gateway.Operation, r gateway.Request) (gateway.Answer, error) {
	return gateway.Answer{Operation: o, Key: r.Key, OrderID: r.OrderID, AmountMinor: r.AmountMinor, Currency: r.Currency, At: time.Now()}, nil
}

func (g promptGateway) Authorize(_ context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.answer(gateway.Authorize, r)
}

func (g promptGateway) Capture(_ context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.answer(gateway.Capture, r)
}

func (g promptGateway) Void(_ context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.answer(gateway.Void, r)
}

func (g promptGateway) Refund(_ context.Context, r gateway.Request) (gateway.Answer, error) {
	return g.answer(gateway.Refund, r)
}

// openDesk opens a shop on a log, and fills its shelves.
func openDesk(ctx context.Context, s *scratch, roles []string, of func(*desk) (app.App, []string)) (*desk, error) {
	d := &desk{waiting: make(map[string]chan ending), calledAt: make(map[string]time.Time)}
	var here []string
	d.app, here = of(d)
	codec, err := d.app.Codec()
	if err != nil {
		return nil, err
	}
	err = s.fillAppends(ctx, codec, articles, func(n int) []streamEvent {
		sku := fmt.Sprintf("SKU-%d", n)
		return []streamEvent{{"stock-" + sku, stock.Received{SKU: sku, Quantity: goods.MaxQuantity, At: time.Now()}}}
	})
	if err != nil {
		return nil, err
	}
	if d.service, err = openService(ctx, d.app, app.Options{DSN: s.dsn, Schema: s.schema, Roles: roles, Only: here}); err != nil {
		return nil, err
	}
	err = untilDelivering(ctx, d.service)
	if d.service.Runner != nil && err == nil {
		d.follower.runner = d.service.Runner
		for _, p := range d.app.Projections() {
			d.follower.names = append(d.follower.names, p.Name())
		}
		err = untilReached(ctx, func(ctx context.Context) error { return d.follower.reach(ctx, eventstore.Token{}) })
	}
	if err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

// untilDelivering waits until all that its sagas get on by is here, and has come to the end of the log: what happens before is not theirs.
func untilDelivering(ctx context.Context, s *app.Service) error {
	ctx, cancel := context.WithTimeoutCause(ctx, fillPatience, errors.New("sagas do not start"))
	defer cancel()
	return await(ctx, func() bool {
		for _, name := range s.Sagas.Names() {
			for partition := range sagaPartitions {
				if !s.Deliverer.Owns(sagas.TriggersName(name), partition) || !s.Deliverer.Owns(sagas.StepsName(name), partition) {
					return false
				}
			}
		}
		return !slices.ContainsFunc(s.Deliverer.Stats().Subscriptions, func(of delivery.SubscriptionStats) bool {
			return of.Behind > 0 || of.Lag != 0 || of.InFlight > 0
		})
	})
}

// sagaPartitions is how many partitions the subscriptions of sagas have.
const sagaPartitions = 4

// fillPatience is how long it may take to take up a log that is long.
const fillPatience = 30 * time.Minute

func (d *desk) close(ctx context.Context) error { return d.service.Close(ctx) }

// order places an order and waits for its end, until all read models that are kept here have it.
func (d *desk) order(ctx context.Context, _ int) (int, error) {
	_, value := placedOrder(int(d.placed.Add(1)))
	o := value.(order.Placed)
	end := make(chan ending, 1)
	d.mu.Lock()
	d.waiting[o.ID] = end
	d.mu.Unlock()
	placed, err := d.service.Do(ctx, "order.place", o.ID, order.Place{
		ID: o.ID, CustomerID: o.CustomerID, Country: o.Country, Currency: o.Currency, Lines: o.Lines, At: o.At,
	}, commands.Options{})
	if err != nil {
		return 0, err
	}
	select {
	case how := <-end:
		if how.err != nil || d.follower.runner == nil {
			return 1, how.err
		}
		want := placed.Token
		want.Position = how.position
		return 1, d.follower.reach(ctx, want)
	case <-time.After(patience):
		return 0, fmt.Errorf("order %s has not come to an end", o.ID)
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (d *desk) ended(id string, how ending) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if end := d.waiting[id]; end != nil {
		end <- how
	}
	delete(d.waiting, id)
	delete(d.calledAt, id)
}

func (d *desk) called(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if last, before := d.calledAt[id]; before {
		d.between.add(now.Sub(last))
	}
	d.calledAt[id] = now
}

// steps returns how long it was from call to call; none, if there were no calls.
func (d *desk) steps() histogram {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.between
}

// bareOrders appends what byCommands comes to, in as many appends as it has steps and two before, each with the events that are known
// together, and decides nothing.
type bareOrders struct {
	store  eventstore.MultiStreamAppender
	codec  *eventstore.Codec
	placed atomic.Int64
}

func newBareOrders(store eventstore.MultiStreamAppender, codec *eventstore.Codec) *bareOrders {
	return &bareOrders{store: store, codec: codec}
}

func (b *bareOrders) order(ctx context.Context, _ int) (int, error) {
	for _, events := range bareOrder(int(b.placed.Add(1))) {
		if err := appendAll(ctx, b.store, b.codec, events); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

// bareOrder returns the events of order number n, by append.
func bareOrder(n int) [][]streamEvent {
	stream, value := placedOrder(n)
	o := value.(order.Placed)
	saga := sagas.StreamOf("five", o.ID)
	_, d := beginOrder(o)
	done := func(step, next string) []streamEvent {
		events := []streamEvent{{saga, sagas.StepCompleted{Step: step, At: o.At}}}
		if next == "" {
			return append(events, streamEvent{saga, sagas.Ended{Status: sagas.Completed, At: o.At}})
		}
		return append(events, streamEvent{saga, sagas.StepScheduled{Step: next, Until: o.At, At: o.At}})
	}
	a, c := d.authorize(), d.capture()
	first := streamEvent{saga, sagas.Started{Saga: "five", Version: 1, ID: o.ID, Data: d.members(), At: o.At}}
	reserved := done("reserve", "authorize")
	for _, l := range o.Lines {
		reserved = append(reserved, streamEvent{"stock-" + l.SKU, stock.Reserved{SKU: l.SKU, OrderID: o.ID, Quantity: l.Quantity, At: o.At}})
	}
	return [][]streamEvent{
		{{stream, o}},
		{first, {saga, sagas.StepScheduled{Step: "reserve", Until: o.At, At: o.At}}},
		reserved,
		append(done("authorize", "schedule"), streamEvent{"payment-" + o.ID,
			payment.Authorized{OrderID: o.ID, Key: a.Key, AmountMinor: a.AmountMinor, Currency: a.Currency, At: o.At}}),
		append(done("schedule", "capture"), streamEvent{"shipment-" + o.ID, shipment.Scheduled{ID: o.ID, OrderID: o.ID, Country: o.Country, At: o.At}}),
		append(done("capture", "confirm"), streamEvent{"payment-" + o.ID,
			payment.Captured{OrderID: o.ID, Key: c.Key, AmountMinor: c.AmountMinor, Currency: o.Currency, At: o.At}}),
		append(done("confirm", ""), streamEvent{stream, order.Confirmed{ID: o.ID, CustomerID: o.CustomerID, At: o.At}}),
	}
}
