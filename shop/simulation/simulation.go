package simulation

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/shipment"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/internal/background"
)

// Config says how busy a shop is.
type Config struct {
	// Rate is how many orders are placed in a second, more than 0. If the shop cannot take as many there are fewer. Required.
	Rate float64
	// Seed chooses what happens.
	Seed uint64
	// Report is told what has become of the orders of this run, each Every and in the end. Default: nobody is told.
	Report func(Report)
	// Every is the time between two reports. Default: 1 minute.
	Every time.Duration
}

// atOnce is how many commands run at once.
const atOnce = 32

// Run lets a shop live until ctx ends, which is no error. The error is one of events that the shop does not know.
func Run(ctx context.Context, s *app.Service, c Config) error {
	script, err := newScript(c.Seed)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	w := &world{
		Config: c, script: script, service: s, run: strings.ToLower(rand.Text()[:6]), slots: make(chan struct{}, atOnce), began: time.Now(),
		orders: make(map[string]order.Status), shelf: make(map[string]*article),
	}
	for sku := range script.demand {
		w.shelf[sku] = new(article)
	}
	w.Every = cmp.Or(w.Every, time.Minute)
	if w.Report == nil {
		w.Report = func(Report) {}
	}
	w.tasks.Go(func() { w.reportEvery(ctx) })
	err = w.live(ctx)
	if ctx.Err() != nil {
		err = nil
	}
	end()
	w.tasks.Wait()
	w.Report(w.report())
	return err
}

// world is a shop that is simulated.
type world struct {
	Config
	*script
	service *app.Service
	// run is in the ids of the orders of this run.
	run   string
	slots chan struct{}
	tasks sync.WaitGroup
	began time.Time
	// living says that the log was read to where it ended, so that what comes has just happened.
	living bool
	// supplies counts those ordered.
	supplies uint64
	// orders are those that are to go on, of any run, shelf has the articles.
	orders map[string]order.Status
	shelf  map[string]*article

	mu     sync.Mutex
	counts Report
}

// article is what there is of it on the shelf.
type article struct {
	available int64
	ordered   bool
}

// live follows the log, and does what follows from it.
func (w *world) live(ctx context.Context) error {
	o := eventstore.ReadOptions{From: 1, Filter: eventstore.Filter{Categories: []string{"order", "stock", "return"}}}
	for pauses := (background.Backoff{}); ; {
		read, err := w.follow(ctx, &o)
		var foreign *foreignError
		if ctx.Err() != nil || errors.As(err, &foreign) {
			return err
		}
		if read {
			pauses.Reset()
		}
		if err != nil {
			w.count(func(r *Report) { r.Errors, r.LastError = r.Errors+1, err.Error() })
		}
		background.Sleep(ctx, pauses.Next())
	}
}

// foreignError says that the log has an event that the shop does not know.
type foreignError struct{ error }

// follow reads the log from o.From on, which is where to go on when it fails, and reports whether it got on.
func (w *world) follow(ctx context.Context, o *eventstore.ReadOptions) (read bool, err error) {
	head, err := w.service.Log.Head(ctx)
	if err != nil {
		return false, err
	}
	if !w.living && head.Position < o.From {
		w.wake(ctx)
	}
	for batch, err := range w.service.Log.Subscribe(ctx, *o) {
		if err != nil {
			return read, err
		}
		for _, e := range batch.Events {
			event, err := w.service.Commands.Codec().Decode(e.Event)
			if err != nil {
				return read, &foreignError{err}
			}
			w.see(ctx, event)
		}
		read, o.From = true, batch.Next
		if !w.living && batch.Next > head.Position {
			w.wake(ctx)
		}
	}
	return read, nil
}

// wake goes on with what earlier runs have left, and lets customers in.
func (w *world) wake(ctx context.Context) {
	w.living = true
	for sku := range w.shelf {
		w.restock(ctx, sku)
	}
	for id, status := range w.orders {
		w.goOn(ctx, id, status)
	}
	w.tasks.Go(func() { w.letCustomersIn(ctx) })
}

func (w *world) letCustomersIn(ctx context.Context) {
	ticks := time.NewTicker(time.Duration(float64(time.Second) / w.Rate))
	defer ticks.Stop()
	for n := uint64(1); ; n++ {
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return
		}
		select {
		case w.slots <- struct{}{}:
		default: // or more and more of them would wait
			w.count(func(r *Report) { r.TurnedAway++ })
			continue
		}
		id := idOf(w.run, n)
		w.tasks.Go(func() {
			defer func() { <-w.slots }()
			w.do(ctx, "order.place", id, w.order(n, id, time.Now()))
		})
	}
}

func (w *world) see(ctx context.Context, event any) {
	switch e := event.(type) {
	case order.Placed:
		w.becomes(ctx, e.ID, order.StatusPlaced, "")
	case order.Confirmed:
		w.becomes(ctx, e.ID, order.StatusConfirmed, "")
	case order.Shipped:
		w.becomes(ctx, e.ID, order.StatusShipped, "")
	case order.Completed:
		w.becomes(ctx, e.ID, order.StatusCompleted, "")
	case order.Cancelled:
		w.becomes(ctx, e.ID, order.StatusCancelled, e.Reason)
	case returns.Returned:
		if run, _, ok := numberOf(e.ID); ok && run == w.run {
			w.count(func(r *Report) { r.Returns++ })
		}
	case stock.Received:
		w.move(ctx, e.SKU, e.Quantity, true)
	case stock.Adjusted:
		w.move(ctx, e.SKU, e.Delta, false)
	case stock.Reserved:
		w.move(ctx, e.SKU, -e.Quantity, false)
	case stock.Released:
		w.move(ctx, e.SKU, e.Quantity, false)
	}
}

func (w *world) move(ctx context.Context, sku string, available int64, received bool) {
	a := w.shelf[sku]
	if a == nil {
		return // somebody else's
	}
	a.available += available
	if received {
		a.ordered = false
	}
	w.restock(ctx, sku)
}

// restock orders an article from its supplier when there is little left.
func (w *world) restock(ctx context.Context, sku string) {
	a := w.shelf[sku]
	below, quantity, takes := w.supply(sku, w.Rate, w.supplies)
	if !w.living || a.ordered || a.available >= below {
		return
	}
	if a.ordered = true; a.available == 0 && w.supplies < uint64(len(w.shelf)) {
		takes = 0 // it opens
	}
	w.supplies++
	w.supplyWith(ctx, sku, min(quantity, goods.MaxQuantity), takes)
}

// supplyWith has an article delivered, and again if that fails: nobody else orders it meanwhile.
func (w *world) supplyWith(ctx context.Context, sku string, quantity int64, takes time.Duration) {
	w.later(ctx, takes, func() {
		if w.do(ctx, "stock.receive", sku, stock.Receive{SKU: sku, Quantity: quantity, At: time.Now()}) {
			w.count(func(r *Report) { r.Supplies++ })
			return
		}
		w.supplyWith(ctx, sku, quantity, max(takes, time.Second))
	})
}

func (w *world) becomes(ctx context.Context, id string, status order.Status, reason string) {
	run, _, ok := numberOf(id)
	if !ok {
		return
	}
	if run == w.run {
		before := w.orders[id]
		w.count(func(r *Report) { r.becomes(before, status, reason) })
	}
	if w.orders[id] = status; status == order.StatusCompleted || status == order.StatusCancelled {
		delete(w.orders, id)
	}
	if w.living {
		w.goOn(ctx, id, status)
	}
}

// changedMind is the reason of customers.
const changedMind = "changed my mind"

// goOn does what somebody does with an order that has come to a status. It may have been done before.
func (w *world) goOn(ctx context.Context, id string, status order.Status) {
	_, n, _ := numberOf(id)
	f := w.fate(n)
	switch {
	case f.cancels && status == order.StatusPlaced, f.cancels && status == order.StatusConfirmed:
		w.later(ctx, f.hesitates, func() { w.do(ctx, "order.cancel", id, order.Cancel{Reason: changedMind, At: time.Now()}) })
	case status == order.StatusPlaced && f.breaks:
		sku := w.lines(n)[0].SKU
		w.later(ctx, 0, func() {
			w.do(ctx, "stock.adjust", sku, stock.Adjust{SKU: sku, Delta: -1, Reason: "broken", At: time.Now()})
		})
	case status == order.StatusConfirmed && !f.waits:
		w.later(ctx, f.packs, func() { w.do(ctx, "shipment.dispatch", id, shipment.Dispatch{At: time.Now()}) })
	case status == order.StatusShipped && f.isLost:
		w.later(ctx, f.travels, func() { w.do(ctx, "shipment.fail", id, shipment.Fail{Reason: "lost", At: time.Now()}) })
	case status == order.StatusShipped:
		w.later(ctx, f.travels, func() {
			w.do(ctx, "shipment.deliver", id, shipment.Deliver{At: time.Now()})
			w.do(ctx, "order.complete", id, order.Complete{At: time.Now()})
		})
	case status == order.StatusCompleted && f.returns:
		w.later(ctx, f.hesitates, func() {
			made := w.order(n, id, time.Now())
			back := []goods.Line{made.Lines[0]}
			if w.do(ctx, "return.accept", id, returns.Accept{ID: id, CustomerID: made.CustomerID, Country: made.Country, Currency: made.Currency, Lines: back, At: time.Now()}) {
				w.do(ctx, "stock.adjust", back[0].SKU, stock.Adjust{SKU: back[0].SKU, Delta: back[0].Quantity, Reason: "came back", At: time.Now()})
			}
		})
	}
}

// later does something in a while, unless ctx ends.
func (w *world) later(ctx context.Context, in time.Duration, do func()) {
	w.tasks.Go(func() {
		t := time.NewTimer(in)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		select {
		case w.slots <- struct{}{}:
			defer func() { <-w.slots }()
			do()
		case <-ctx.Done():
		}
	})
}

// do runs a command, again if it fails by no fault of its own. It returns whether it was accepted.
func (w *world) do(ctx context.Context, name, id string, command any) bool {
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		_, err := w.service.Do(ctx, name, id, command, commands.Options{})
		switch {
		case err == nil:
			return true
		case ctx.Err() != nil, errors.Is(err, commands.ErrRejected):
			return false
		}
		if w.count(func(r *Report) { r.Errors, r.LastError = r.Errors+1, err.Error() }); wait > time.Second {
			return false
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
}
