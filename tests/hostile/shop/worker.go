package shop

import (
	"context"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// worker sends one request after another.
type worker struct {
	*run
	*wire.Worker
	// tame is the world that it knows, wild one of which it believes nothing.
	tame, wild *world
}

func (r *run) worker(number int) *worker {
	rng := wire.NewRand(r.Seed, uint64(number))
	w := &worker{run: r, tame: newWorld(r.name, 2*number, rng), wild: newWorld(r.name, 2*number+1, rng)}
	w.Worker = r.Worker(number, w.tame.Luck)
	return w
}

// work sends its share of requests, and reads at the end what it has made.
func (w *worker) work(ctx context.Context) error {
	defer w.Close()
	for range 10 { // something to be wild about
		c, _ := w.wild.place()
		c.How = []string{"valid"}
		if err := w.Send(ctx, c); err != nil {
			return err
		}
	}
	for w.run.Take() {
		if err := w.one(ctx); err != nil {
			return err
		}
	}
	return w.sweep(ctx)
}

// one sends a request of some sort, and what follows from it.
func (w *worker) one(ctx context.Context) error {
	switch n := w.tame.Rng.IntN(1000); {
	case n < 370:
		return w.sendAll(ctx, w.generate(w.tame))
	case n < 420:
		if c, ok := w.tame.again(); ok {
			return w.Send(ctx, c)
		}
		return w.sendAll(ctx, w.generate(w.tame))
	case n < 700:
		return w.sendNearlyValid(ctx)
	case n < 720:
		return w.sendTwice(ctx)
	case n < 820:
		return w.contend(ctx)
	case n < 990:
		return w.SendWild(ctx, w.wild.Luck, w.generate(w.wild))
	}
	return w.SendRaw(ctx)
}

// generate returns a valid call.
func (w *worker) generate(in *world) wire.Call {
	for {
		n := in.Rng.IntN(w.weights)
		for _, g := range w.choices {
			if n -= g.weight; n < 0 {
				if c, ok := g.make(in); ok {
					c.Parameters = g.parameters
					return c
				}
				break
			}
		}
	}
}

// sendAll sends a valid call, and those that follow from it: the pages of a list.
func (w *worker) sendAll(ctx context.Context, c wire.Call) error {
	for {
		c.How = append(c.How, "valid")
		if err := w.Send(ctx, c); err != nil {
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
		if c.Unmodelled && len(c.Wants) > 0 {
			continue // it is in the envelope of the route of all commands, whose mutations have no model
		}
		if w.Luck.Mutate(&c) {
			err := w.Send(ctx, c)
			w.tame.next = nil
			return err
		}
	}
}

// settle judges what was done to the commons, and reads what that has made. What
// others have paused is resumed.
func (w *worker) settle(ctx context.Context) error {
	if wrong := w.commons.settle(); wrong != nil {
		return w.run.Tell(&wire.Failure{Worker: wrong.worker, Number: wrong.number, How: wrong.HowText() + ", judged at the end",
			Curl: wrong.Curl(w.Link.Host), Answer: wire.Describe(wrong.answer), Err: wrong.err})
	}
	resume := w.tame.steered("resume")
	resume.How = []string{"resumed at the end"}
	if err := w.Send(ctx, resume); err != nil {
		return err
	}
	return w.sweep(ctx)
}

// sweep reads everything that the worker has made: what was acknowledged is
// there.
func (w *worker) sweep(ctx context.Context) error {
	var calls []wire.Call
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
		c.How = []string{"at the end"}
		if err := w.sendAll(ctx, c); err != nil {
			return err
		}
	}
	return w.endOperations(ctx)
}
