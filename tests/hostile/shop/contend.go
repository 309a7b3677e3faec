package shop

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// commons is a world that all workers work on at once. What a command to it must
// be answered is not known when it is sent: answers are kept, and judged together
// at the end.
type commons struct {
	// world has names, and at the end what all answers together say.
	world *world

	mu    sync.Mutex
	made  int
	deeds map[string][]*deed // by stream
	// latest are the versions of streams that were acknowledged last.
	latest map[string]int64
	// token is that of the highest position that was acknowledged.
	token    string
	position int64
}

// deed is a call to the commons, with what came of it.
type deed struct {
	wire.Call
	worker, number int
	stream         string
	begun, ended   time.Time
	// expected is the version that a precondition demands; nil: there is none.
	expected *int64
	// floor is a position that a read has to see.
	floor int64
	// would does it to a subject, if nothing is against it, and returns what must
	// be answered.
	would func(*subject) wire.Want
	// shows checks what a read that finds something shows of a subject.
	shows func(*subject, wire.Answer) error

	answer wire.Answer
	got    wire.Want
	// ack is set if the deed changed something.
	ack wire.Ack
}

const (
	commonArticles = 2
	// liveOrders are worked on at a time; most have ended when the next ones come.
	liveOrders = 4
)

func newCommons(name string, number int) *commons {
	w := newWorld(name, number, nil)
	w.articles = w.articles[:commonArticles]
	return &commons{world: w, deeds: make(map[string][]*deed), latest: make(map[string]int64)}
}

// contend sends something to a stream that others work on at the same time.
func (w *worker) contend(ctx context.Context) error {
	d := w.commons.deed(w.tame)
	d.worker, d.number, d.begun = w.Number, w.Sent+1, time.Now()
	d.How = []string{"of the commons"}
	d.Seal() // to be shown at the end, if need be
	d.Done = func(a wire.Answer) (err error) {
		d.ended, d.answer = time.Now(), a
		if d.got, err = d.Outcome(a); err == nil && d.changed() {
			d.ack, err = wire.ReadAck(a)
		}
		if err == nil {
			w.commons.keep(d)
		}
		return err
	}
	return w.Send(ctx, d.Call)
}

// changed reports whether the deed was a command that was accepted.
func (d *deed) changed() bool { return d.Method == http.MethodPost && d.got.Status < 300 }

func (c *commons) keep(d *deed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deeds[d.stream] = append(c.deeds[d.stream], d)
	if d.changed() {
		c.latest[d.stream] = max(c.latest[d.stream], d.ack.Version)
		if d.ack.Position > c.position {
			c.position, c.token = d.ack.Position, d.ack.Token
		}
	}
}

// deed returns something to do, with the luck of a worker's world.
func (c *commons) deed(of *world) *deed {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := *c.world
	in.Rng, in.token = of.Rng, c.token
	var d *deed
	if in.Chance(2) {
		if c.made == 0 || in.Chance(3*liveOrders) {
			c.made++
		}
		d = in.orderDeed(fmt.Sprintf("%s.%06d", in.Name, c.made-in.Rng.IntN(min(c.made, liveOrders))))
	} else {
		d = in.stockDeed(pick(&in, in.articles).sku)
	}
	d.floor = c.position
	if known, ok := c.latest[d.stream]; ok && d.Method == http.MethodPost && in.Chance(3) {
		d.expected = &known
		d.Set("If-Match", fmt.Sprintf(`"%d"`, known))
	}
	return d
}

// orderDeed returns something to do to an order, which may be there or not.
func (w *world) orderDeed(id string) *deed {
	d := &deed{stream: "order-" + id}
	if w.Chance(4) {
		d.Call = w.read("/v1/orders/{id}", "/v1/orders/"+url.PathEscape(id), nil)
		d.would = func(s *subject) wire.Want { return s.found(s.order.ID != "") }
		d.shows = func(s *subject, a wire.Answer) error { return s.order.shown(a) }
		return d
	}
	if w.Chance(3) {
		o := w.newOrder()
		o.ID = id
		d.Call = command("/v1/orders", "/v1/orders", w.goods(o, "placed_at"))
		d.would = func(s *subject) wire.Want {
			if s.order.ID != "" {
				return wire.Refusal(http.StatusConflict, "order-exists")
			}
			s.order = *o
			return wire.Want{Status: http.StatusCreated}
		}
		return d
	}
	step := pick(w, steps)
	d.Call = step.call(w, id)
	d.would = func(s *subject) wire.Want {
		switch {
		case s.order.ID == "":
			return wire.Refusal(http.StatusNotFound, "order-not-found")
		case !slices.Contains(step.from, s.order.Status):
			return wire.Refusal(http.StatusConflict, "order-status")
		}
		s.order.Status = step.to
		return wire.Want{Status: http.StatusOK}
	}
	return d
}

// stockDeed returns something to do to an article.
func (w *world) stockDeed(sku string) *deed {
	d := &deed{stream: "stock-" + sku}
	if w.Chance(4) {
		d.Call = w.read("/v1/stock/{sku}", "/v1/stock/"+url.PathEscape(sku), nil)
		d.would = func(s *subject) wire.Want { return s.found(s.version >= 0) }
		d.shows = func(s *subject, a wire.Answer) error { return s.article.shown(a) }
		return d
	}
	n, order := 1+w.Rng.Int64N(5), fmt.Sprintf("%s.r%d", w.Name, w.Rng.IntN(2))
	m, name, body := move{}, "", wire.Members("quantity", n)
	switch w.Rng.IntN(5) {
	case 0:
		name, m = "receive", move{onHand: n}
	case 1:
		name, m, body = "adjust", move{onHand: -n}, wire.Members("delta", -n, "reason", "counted")
	case 2:
		name, m = "reserve", move{reserved: n, order: order}
	case 3:
		name, m = "release", move{reserved: -n, order: order}
	default:
		name, m = "commit", move{onHand: -n, reserved: -n, order: order}
	}
	d.Call = w.moveCall(name, sku, m, body)
	d.would = m.would
	return d
}
