package shop

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/httpapi"
	"github.com/57528e99/recount/projections"
	"github.com/57528e99/recount/shop/invariants"
)

// stockModule has the streams stock-{sku}, one for each article, and a read model of them. They get
// long: every line of every order adds to one.
func stockModule() app.Module {
	articles := app.NewAggregate[stock.Stock, stock.Event](categoryStock, "/v1/stock/{sku}").
		Events(
			app.Event[stock.Received]("StockReceived", 1),
			app.Event[stock.Adjusted]("StockAdjusted", 1),
			app.Event[stock.Reserved]("StockReserved", 1),
			app.Event[stock.Released]("StockReleased", 1),
			app.Event[stock.Committed]("StockCommitted", 1)).
		Commands(
			app.Do[stock.Receive]("receive", app.Body(receive)),
			app.Do[stock.Adjust]("adjust", app.Body(adjust)),
			app.Do[stock.Reserve]("reserve", app.Body(reserve)),
			app.Do[stock.Release]("release", app.Body(release)),
			app.Do[stock.Commit]("commit", app.Body(commit)),
			app.Do[stock.ReleaseAll]("release-all", app.Body(releaseAll), app.Internal)).
		Snapshots(100, 1)
	// What was done for an order as a whole, for who reacts to it.
	reservations := app.NewAggregate[stock.Reservation, stock.ReservationEvent](categoryReservation, "/v1/reservations/{order_id}").
		Events(
			app.Event[stock.OrderReserved]("OrderReserved", 1),
			app.Event[stock.OrderRefused]("OrderRefused", 1),
			app.Event[stock.OrderReleased]("OrderReleased", 1),
			app.Event[stock.OrderHandedOut]("OrderHandedOut", 1)).
		Commands(app.Do[stock.RefuseOrder]("refuse", app.Internal))
	return app.Module{
		Name:       "stock",
		Aggregates: []app.Aggregate{articles, reservations},
		Units: slices.Concat(
			ofOrder("reserve-order", articles, reservations, func(r stock.Reserve) string { return r.SKU }, stock.ReserveOrder.Each, expectPlaced),
			ofOrder("release-order", articles, reservations, func(r stock.ReleaseAll) string { return r.SKU }, stock.ReleaseOrder.Each, nil),
			ofOrder("commit-order", articles, reservations, func(r stock.CommitAll) string { return r.SKU }, stock.CommitOrder.Each, nil)),
		Projections: []projections.Projection{stockLevels},
		Invariants:  []app.Invariant{invariants.Stock},
		Routes: func(s *app.Service, a *httpapi.API) {
			// ?as_of=
			httpapi.Read(a, "/v1/stock/{sku}", asOf, reads{s}.stock)
			a.Access(httpapi.Access{Stream: categoryStock + "-{sku}"})
		},
		Problems: []httpapi.DomainProblem{
			{Err: stock.ErrInsufficient, Kind: kindStockInsufficient},
			{Err: stock.ErrNotReserved, Kind: kindStockNotReserved},
			{Err: stock.ErrOverflow, Kind: kindStockFull},
		},
	}
}

// ofOrder returns the units of a command about all lines of an order: that of its name, which changes the articles alone, for who remembers what
// was done; and record-NAME, which is decided from the reservation of the order first, and writes down there what was done. Allows, if any, refuses
// orders.
func ofOrder[C commandOnOrder, L commands.Command[stock.Stock, stock.Event]](name string,
	articles *app.AggregateOf[stock.Stock, stock.Event], reservations *app.AggregateOf[stock.Reservation, stock.ReservationEvent],
	sku func(L) string, each func(C) []L, allows func(tx *app.Tx, orderID string) error) []app.Unit {
	decide := func(tx *app.Tx, c C) error {
		if allows != nil {
			if err := allows(tx, c.Order()); err != nil {
				return err
			}
		}
		return decideAll(tx, articles, each(c), sku)
	}
	return []app.Unit{
		app.Across(name, "/v1/stock", decide, app.Internal),
		app.Across("record-"+name, "/v1/reservations", func(tx *app.Tx, c C) error {
			id := c.Order()
			r, _ := reservations.Get(tx, id)
			changes, err := c.Decide(r)
			if err != nil || len(changes) == 0 {
				return err
			}
			reservations.Put(tx, id, changes...)
			return decide(tx, c)
		}, app.Internal),
	}
}

// expectPlaced refuses an order of which something has become already, as people have done it, or before the checkout began.
func expectPlaced(tx *app.Tx, orderID string) error {
	o, _ := orderStreams.Get(tx, orderID)
	return o.ExpectPlaced("reserved")
}

// commandOnOrder is a command about all lines of an order.
type commandOnOrder interface {
	commands.Command[stock.Reservation, stock.ReservationEvent]
	// Order is the id of the order.
	Order() string
}

// decideAll decides commands one after another, each on the stream of an article.
func decideAll[C commands.Command[stock.Stock, stock.Event]](tx *app.Tx, articles *app.AggregateOf[stock.Stock, stock.Event], all []C, sku func(C) string) error {
	for _, c := range all {
		s, _ := articles.Get(tx, sku(c))
		events, err := c.Decide(s)
		if err != nil {
			return fmt.Errorf("article %s: %w", sku(c), err)
		}
		articles.Put(tx, sku(c), events...)
	}
	return nil
}

type receiveBody struct {
	atBody
	Quantity int64 `json:"quantity" http:"required"`
}

func receive(r *app.Request, b receiveBody) (stock.Receive, error) {
	b.request(r)
	return stock.Receive{SKU: r.ID, Quantity: b.Quantity, At: r.At}, checkSKU(r)
}

type adjustBody struct {
	atBody
	Delta  int64  `json:"delta" http:"required"`
	Reason string `json:"reason" http:"required"`
}

func adjust(r *app.Request, b adjustBody) (stock.Adjust, error) {
	b.request(r)
	return stock.Adjust{SKU: r.ID, Delta: b.Delta, Reason: b.Reason, At: r.At}, checkSKU(r)
}

// reservationBody is that of reserve, release and commit.
type reservationBody struct {
	atBody
	OrderID  string `json:"order_id" http:"required"`
	Quantity int64  `json:"quantity" http:"required"`
}

func reserve(r *app.Request, b reservationBody) (stock.Reserve, error) {
	b.request(r)
	return stock.Reserve{SKU: r.ID, OrderID: b.OrderID, Quantity: b.Quantity, At: r.At}, checkSKU(r)
}

func release(r *app.Request, b reservationBody) (stock.Release, error) {
	b.request(r)
	return stock.Release{SKU: r.ID, OrderID: b.OrderID, Quantity: b.Quantity, At: r.At}, checkSKU(r)
}

func commit(r *app.Request, b reservationBody) (stock.Commit, error) {
	b.request(r)
	return stock.Commit{SKU: r.ID, OrderID: b.OrderID, Quantity: b.Quantity, At: r.At}, checkSKU(r)
}

func releaseAll(r *app.Request, b reservationBody) (stock.ReleaseAll, error) {
	b.request(r)
	return stock.ReleaseAll{SKU: r.ID, OrderID: b.OrderID, At: r.At}, checkSKU(r)
}

// checkSKU checks the article code in the path. The domain checks it too, but would blame a member
// of the body.
func checkSKU(r *app.Request) error {
	var invalid *goods.InvalidError
	if !errors.As(goods.CheckSKU("/sku", r.ID), &invalid) {
		return nil
	}
	problem := kindInvalidInput.Problem("{sku} in the path " + invalid.Reason + ".")
	problem.Errors = []httpapi.FieldError{{Parameter: "sku", Detail: invalid.Reason}}
	return problem
}

// stockView is the stock of an article as it is read.
type stockView struct {
	SKU       string `json:"sku"`
	OnHand    int64  `json:"on_hand"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
	version   int64
}

// StreamVersion implements httpapi.Versioned.
func (s stockView) StreamVersion() int64 { return s.version }

func (r reads) stock(ctx context.Context, in httpapi.ReadRequest[*projections.Moment]) (stockView, error) {
	sku := in.Path("sku")
	row, err := rowOf(ctx, r, stockLevels, categoryStock, sku, in)
	return stockView{sku, row.OnHand, row.Reserved, row.OnHand - row.Reserved, row.Version}, err
}
