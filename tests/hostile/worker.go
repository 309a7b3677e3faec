package hostile

import (
	"context"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
)

// worker sends one request after another on a connection of its own.
type worker struct {
	*run
	number int
	link   link
	second link // for two requests at once
	// tame is the world that it knows, wild one of which it believes nothing.
	tame, wild *world
	choices    []generator
	weights    int
	sent       int
}

func newRand(seed, stream uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, stream)) }

func (r *run) worker(number int) *worker {
	rng := newRand(r.config.Seed, uint64(number))
	w := &worker{run: r, number: number, link: link{host: r.hosts[number%2]}, second: link{host: r.hosts[1-number%2]}}
	w.tame = newWorld(r.name, 2*number, rng)
	w.wild = newWorld(r.name, 2*number+1, rng)
	for _, name := range r.routes {
		w.choices = append(w.choices, r.generators[name])
		w.weights += r.generators[name].weight
	}
	return w
}

// work sends its share of requests, and reads at the end what it has made.
func (w *worker) work(ctx context.Context) error {
	defer w.link.close()
	defer w.second.close()
	for range 10 { // something to be wild about
		c, _ := w.wild.place()
		c.how = []string{"valid"}
		if err := w.send(ctx, c); err != nil {
			return err
		}
	}
	for w.take() {
		if err := w.one(ctx); err != nil {
			return err
		}
	}
	return w.sweep(ctx)
}

// one sends a request of some sort, and what follows from it.
func (w *worker) one(ctx context.Context) error {
	switch n := w.tame.rng.IntN(1000); {
	case n < 370:
		return w.sendValid(ctx)
	case n < 420:
		if c, ok := w.tame.again(); ok {
			return w.send(ctx, c)
		}
		return w.sendValid(ctx)
	case n < 700:
		return w.sendNearlyValid(ctx)
	case n < 720:
		return w.sendTwice(ctx)
	case n < 820:
		return w.contend(ctx)
	case n < 990:
		return w.sendWild(ctx)
	}
	return w.sendRaw(ctx)
}

// generate returns a valid call.
func (w *worker) generate(in *world) call {
	for {
		n := in.rng.IntN(w.weights)
		for _, g := range w.choices {
			if n -= g.weight; n < 0 {
				if c, ok := g.make(in); ok {
					return c
				}
				break
			}
		}
	}
}

func (w *worker) sendValid(ctx context.Context) error { return w.sendAll(ctx, w.generate(w.tame)) }

// sendAll sends a valid call, and those that follow from it: the pages of a list.
func (w *worker) sendAll(ctx context.Context, c call) error {
	for {
		c.how = append(c.how, "valid")
		if err := w.send(ctx, c); err != nil {
			return err
		}
		if w.tame.next == nil {
			return nil
		}
		c, w.tame.next = *w.tame.next, nil
	}
}

func (w *worker) sendNearlyValid(ctx context.Context) error {
	for {
		c := w.generate(w.tame)
		if m := pick(w.tame, mutations); m.mutate(w.tame, &c) {
			err := w.send(ctx, c)
			w.tame.next = nil
			return err
		}
	}
}

func (w *worker) sendWild(ctx context.Context) error {
	base := w.generate(w.wild)
	c, steps := w.wild.wild(base)
	err := w.send(ctx, c)
	if f, ok := err.(*Failure); ok && len(steps) > 1 {
		w.shrink(ctx, f, base, steps)
	}
	return err
}

// shrink looks for fewer mutations that are answered wrongly too.
func (w *worker) shrink(ctx context.Context, f *Failure, base call, steps []wildStep) {
	for i := 0; i < len(steps) && len(steps) > 1; {
		fewer := slices.Delete(slices.Clone(steps), i, i+1)
		c := base.clone()
		for _, s := range fewer {
			s.do(w.wild, &c)
		}
		c.wants, c.done = nil, nil
		smaller, ok := w.send(ctx, c).(*Failure)
		if !ok {
			i++
			continue
		}
		smaller.Number = f.Number
		*f, steps = *smaller, fewer
	}
}

func (w *worker) sendRaw(ctx context.Context) error {
	w.sent++
	r := pick(w.tame, rawLinks)
	w.count("raw")
	if err := r.send(ctx, w.link.host); err != nil && ctx.Err() == nil {
		return w.fail(&Failure{How: "raw connection: " + r.name, Curl: "printf " + quote(strings.Join(r.pieces, "")), Err: err})
	}
	return ctx.Err()
}

// send sends a call and checks its answer.
func (w *worker) send(ctx context.Context, c call) error {
	w.sent++
	c.seal()
	w.attack(c.route)
	a, err := w.link.do(ctx, c.request)
	if ctx.Err() != nil {
		// Not its cause, which is what another worker has found.
		return ctx.Err()
	}
	if err == nil {
		if err = c.judge(a); err == nil {
			err = w.checkType(ctx, c, a)
		}
	}
	if err != nil {
		return w.fail(&Failure{How: describeHow(c), Curl: c.curl(w.link.host), Answer: describe(a), Err: err})
	}
	w.count(statusClass(a.status))
	if a.status == http.StatusAccepted {
		w.tame.operations = append(w.tame.operations, a.header.Get("Location"))
	}
	return nil
}

func describeHow(c call) string { return strings.Join(c.how, ", ") }

// lastWorker returns the one that comes when the others have ended, and has the
// commons for its world.
func (r *run) lastWorker() *worker {
	r.commons.world.rng = newRand(r.config.Seed, uint64(r.config.Workers))
	return &worker{run: r, number: r.config.Workers, link: link{host: r.hosts[0]}, tame: r.commons.world}
}

// settle judges what was done to the commons, and reads what that has made. What
// others have paused is resumed.
func (w *worker) settle(ctx context.Context) error {
	defer w.link.close()
	if wrong := w.commons.settle(); wrong != nil {
		return w.tell(&Failure{Worker: wrong.worker, Number: wrong.number, How: describeHow(wrong.call) + ", judged at the end",
			Curl: wrong.curl(w.link.host), Answer: describe(wrong.answer), Err: wrong.err})
	}
	resume := w.tame.steered("resume")
	resume.how = []string{"resumed at the end"}
	if err := w.send(ctx, resume); err != nil {
		return err
	}
	return w.sweep(ctx)
}

// fail says which of the worker's requests it was.
func (w *worker) fail(f *Failure) error {
	f.Worker, f.Number = w.number, w.sent
	return w.tell(f)
}

// sweep reads everything that the worker has made: what was acknowledged is
// there.
func (w *worker) sweep(ctx context.Context) error {
	var calls []call
	for _, o := range w.tame.orders {
		calls = append(calls, w.tame.readPresent(o))
	}
	for _, a := range w.tame.articles {
		calls = append(calls, w.tame.readArticle(a))
	}
	for _, customer := range w.tame.customers { // with the returns, which have no page of their own
		calls = append(calls, w.tame.readHistory(customer))
	}
	for _, by := range groupings {
		calls = append(calls, w.tame.listSalesBy(by))
	}
	for _, c := range calls {
		c.how = []string{"at the end"}
		if err := w.sendAll(ctx, c); err != nil {
			return err
		}
	}
	return w.endOperations(ctx)
}
