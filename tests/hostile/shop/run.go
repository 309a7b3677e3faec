package shop

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/tests/hostile/wire"
)

// Config says whom to be hostile to. All but URL may be left out.
type Config struct {
	// URL is the address of the server, e.g. http://127.0.0.1:8080. It must have
	// a log in which no run with the same seed has been.
	URL string
	// Second is the address of another server on the same log. Half of the workers
	// are clients of the second one, and what is sent twice at once goes to both.
	// Default: URL.
	Second string
	// Seed decides what is sent. Default: 0, which is one like the others.
	Seed uint64
	// Requests is how many to send, roughly: what was begun is finished. Default: 1000.
	Requests int
	// Workers is how many connections send at once. Default: 32. At most 300.
	Workers int
	// Failed is called with the first failure, before Run stops the other workers:
	// it sees the server as it was when it gave the wrong answer. Default: nobody
	// is told before Run returns.
	Failed func(*wire.Failure)
}

// Report says what was sent and how it was answered.
type Report struct {
	Requests int
	// Answers counts them by class: "2xx", "4xx", "503", and "raw" for raw
	// connections.
	Answers map[string]int
	// Orders and Returns are what was acknowledged, of the worlds that the client
	// knows.
	Orders, Returns int
	// Types are the kinds of problems that were met.
	Types []string
	Took  time.Duration
}

// run is one run of the client.
type run struct {
	*wire.Attack
	name    string
	choices []generator
	weights int
	commons *commons
}

// thorough is how many requests come to every route, however seldom that is chosen.
const thorough = 20_000

// Run sends the requests of a config and checks every answer. The first one that
// is wrong is returned as a *wire.Failure; other errors say that it could not begin.
func Run(ctx context.Context, c Config) (Report, error) {
	c.Requests, c.Workers = cmp.Or(c.Requests, 1000), cmp.Or(c.Workers, 32)
	if c.Workers < 1 || c.Workers > 300 {
		return Report{}, fmt.Errorf("hostile: workers must be from 1 to 300; they are %d", c.Workers)
	}
	attack, err := wire.NewAttack([2]string{c.URL, cmp.Or(c.Second, c.URL)}, c.Seed, c.Requests, c.Failed)
	if err != nil {
		return Report{}, err
	}
	r := &run{Attack: attack, name: fmt.Sprintf("h%x", c.Seed)}
	r.commons = newCommons(r.name, 2*c.Workers)
	last := &worker{run: r, tame: r.commons.world}
	last.Worker = r.Worker(c.Workers, last.tame.Luck)
	defer last.Close()
	if err := r.readIndex(ctx, last); err != nil {
		return Report{}, err
	}
	begun := time.Now()
	workers := make([]*worker, c.Workers)
	group, together := errgroup.WithContext(ctx)
	for i := range workers {
		workers[i] = r.worker(i)
		group.Go(func() error { return workers[i].work(together) })
	}
	err = group.Wait()
	if err == nil {
		last.tame.Rng = wire.NewRand(c.Seed, uint64(c.Workers))
		workers = append(workers, last)
		err = last.settle(ctx)
	}
	if err == nil && c.Requests >= thorough {
		err = r.spared()
	}
	report := Report{Answers: r.Answers, Types: slices.Sorted(maps.Keys(r.Problems)), Took: time.Since(begun)}
	for _, w := range workers {
		report.Requests += w.Sent
		report.Orders += len(w.tame.orders)
		report.Returns += len(w.tame.returns)
	}
	return report, err
}

// readIndex asks the server for its routes, and makes sure of the generators.
func (r *run) readIndex(ctx context.Context, w *worker) error {
	index, err := w.Index(ctx)
	if err != nil {
		return err
	}
	if r.choices, err = cover(index); err != nil {
		return fmt.Errorf("cover the index: %w", err)
	}
	for _, g := range r.choices {
		r.weights += g.weight
	}
	return nil
}

// spared returns an error that names the routes to which nothing was sent.
func (r *run) spared() error {
	var routes []string
	for _, g := range r.choices {
		if r.Attacked[g.route] == 0 {
			routes = append(routes, g.route)
		}
	}
	if len(routes) > 0 {
		return fmt.Errorf("hostile: nothing was sent to %s", strings.Join(routes, ", "))
	}
	return nil
}
