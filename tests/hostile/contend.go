package hostile

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
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
	call
	worker, number int
	stream         string
	begun, ended   time.Time
	// expected is the version that a precondition demands; nil: there is none.
	expected *int64
	// floor is a position that a read has to see.
	floor int64
	// would does it to a subject, if nothing is against it, and returns what must
	// be answered.
	would func(*subject) want
	// shows checks what a read that finds something shows of a subject.
	shows func(*subject, answer) error

	answer answer
	got    want
	// ack is set if the deed changed something.
	ack ack
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
	d.worker, d.number, d.begun = w.number, w.sent+1, time.Now()
	d.how = []string{"of the commons"}
	d.seal() // to be shown at the end, if need be
	d.done = func(a answer) (err error) {
		d.ended, d.answer = time.Now(), a
		if d.got, err = d.outcome(a); err == nil && d.changed() {
			d.ack, err = readAck(a)
		}
		if err == nil {
			w.commons.keep(d)
		}
		return err
	}
	return w.send(ctx, d.call)
}

// changed reports whether the deed was a command that was accepted.
func (d *deed) changed() bool { return d.method == http.MethodPost && d.got.status < 300 }

func (c *commons) keep(d *deed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deeds[d.stream] = append(c.deeds[d.stream], d)
	if d.changed() {
		c.latest[d.stream] = max(c.latest[d.stream], d.ack.Version)
		if d.ack.Position > c.position {
			c.position, c.token = d.ack.Position, d.ack.token
		}
	}
}

// deed returns something to do, with the luck of a worker's world.
func (c *commons) deed(of *world) *deed {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := *c.world
	in.rng, in.token = of.rng, c.token
	var d *deed
	if in.chance(2) {
		if c.made == 0 || in.chance(3*liveOrders) {
			c.made++
		}
		d = in.orderDeed(fmt.Sprintf("%s.%06d", in.name, c.made-in.rng.IntN(min(c.made, liveOrders))))
	} else {
		d = in.stockDeed(pick(&in, in.articles).sku)
	}
	d.floor = c.position
	if known, ok := c.latest[d.stream]; ok && d.method == http.MethodPost && in.chance(3) {
		d.expected = &known
		d.set("If-Match", fmt.Sprintf(`"%d"`, known))
	}
	return d
}

// orderDeed returns something to do to an order, which may be there or not.
func (w *world) orderDeed(id string) *deed {
	d := &deed{stream: "order-" + id}
	if w.chance(4) {
		d.call = w.read("/v1/orders/{id}", "/v1/orders/"+url.PathEscape(id), nil)
		d.would = func(s *subject) want { return s.found(s.order.ID != "") }
		d.shows = func(s *subject, a answer) error { return s.order.shown(a) }
		return d
	}
	if w.chance(3) {
		o := w.newOrder()
		o.ID = id
		d.call = command("/v1/orders", "/v1/orders", w.goods(o, "placed_at"))
		d.would = func(s *subject) want {
			if s.order.ID != "" {
				return want{http.StatusConflict, "order-exists"}
			}
			s.order = *o
			return want{status: http.StatusCreated}
		}
		return d
	}
	step := pick(w, steps)
	d.call = step.call(w, id)
	d.would = func(s *subject) want {
		switch {
		case s.order.ID == "":
			return want{http.StatusNotFound, "order-not-found"}
		case !slices.Contains(step.from, s.order.Status):
			return want{http.StatusConflict, "order-status"}
		}
		s.order.Status = step.to
		return want{status: http.StatusOK}
	}
	return d
}

// stockDeed returns something to do to an article.
func (w *world) stockDeed(sku string) *deed {
	d := &deed{stream: "stock-" + sku}
	if w.chance(4) {
		d.call = w.read("/v1/stock/{sku}", "/v1/stock/"+url.PathEscape(sku), nil)
		d.would = func(s *subject) want { return s.found(s.version >= 0) }
		d.shows = func(s *subject, a answer) error { return s.article.shown(a) }
		return d
	}
	n, order := 1+w.rng.Int64N(5), fmt.Sprintf("%s.r%d", w.name, w.rng.IntN(2))
	m, name, body := move{}, "", members("quantity", n)
	switch w.rng.IntN(5) {
	case 0:
		name, m = "receive", move{onHand: n}
	case 1:
		name, m, body = "adjust", move{onHand: -n}, members("delta", -n, "reason", "counted")
	case 2:
		name, m = "reserve", move{reserved: n, order: order}
	case 3:
		name, m = "release", move{reserved: -n, order: order}
	default:
		name, m = "commit", move{onHand: -n, reserved: -n, order: order}
	}
	d.call = w.moveCall(name, sku, m, body)
	d.would = m.would
	return d
}
