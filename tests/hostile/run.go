package hostile

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
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
	Failed func(*Failure)
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
	config     Config
	hosts      [2]string
	name       string
	routes     []string
	generators map[string]generator
	commons    *commons
	left       atomic.Int64
	failed     sync.Once

	mu     sync.Mutex
	counts map[string]int
	types  map[string]bool
	// attacked counts the requests by route.
	attacked map[string]int
}

// thorough is how many requests come to every route, however seldom that is chosen.
const thorough = 20_000

// Run sends the requests of a config and checks every answer. The first one that
// is wrong is returned as a *Failure; other errors say that it could not begin.
func Run(ctx context.Context, c Config) (Report, error) {
	if c.Requests == 0 {
		c.Requests = 1000
	}
	if c.Workers == 0 {
		c.Workers = 32
	}
	var hosts [2]string
	for i, address := range []string{c.URL, cmp.Or(c.Second, c.URL)} {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" || u.Host == "" || c.Workers < 1 || c.Workers > 300 {
			return Report{}, fmt.Errorf("hostile: an address must be like http://127.0.0.1:8080 and workers from 1 to 300; they are %q and %d", address, c.Workers)
		}
		hosts[i] = u.Host
	}
	r := &run{config: c, hosts: hosts, name: fmt.Sprintf("h%x", c.Seed), counts: make(map[string]int), types: make(map[string]bool),
		attacked: make(map[string]int)}
	r.commons = newCommons(r.name, 2*c.Workers)
	r.left.Store(int64(c.Requests))
	if err := r.readIndex(ctx); err != nil {
		return Report{}, err
	}
	begun := time.Now()
	workers := make([]*worker, c.Workers)
	group, together := errgroup.WithContext(ctx)
	for i := range workers {
		workers[i] = r.worker(i)
		group.Go(func() error { return workers[i].work(together) })
	}
	err := group.Wait()
	if err == nil {
		last := r.lastWorker()
		workers = append(workers, last)
		err = last.settle(ctx)
	}
	if err == nil && c.Requests >= thorough {
		err = r.spared()
	}
	report := Report{Answers: r.counts, Types: slices.Sorted(maps.Keys(r.types)), Took: time.Since(begun)}
	for _, w := range workers {
		report.Requests += w.sent
		report.Orders += len(w.tame.orders)
		report.Returns += len(w.tame.returns)
	}
	return report, err
}

// readIndex asks the server for its routes, and makes sure of the generators.
func (r *run) readIndex(ctx context.Context) error {
	l := link{host: r.hosts[0]}
	defer l.close()
	a, err := l.do(ctx, request{method: "GET", target: "/"})
	if err != nil {
		return fmt.Errorf("read the index: %w", err)
	}
	var index struct {
		Routes []indexRoute `json:"routes"`
	}
	if err := json.Unmarshal(a.body, &index); err != nil {
		return fmt.Errorf("read the index: %w in %s", err, cut(a.body))
	}
	if r.generators, err = cover(index.Routes); err != nil {
		return fmt.Errorf("cover the index: %w", err)
	}
	r.routes = slices.Sorted(maps.Keys(r.generators))
	return nil
}

// spared returns an error that names the routes to which nothing was sent.
func (r *run) spared() error {
	var routes []string
	for _, route := range r.routes {
		if r.attacked[route] == 0 {
			routes = append(routes, route)
		}
	}
	if len(routes) > 0 {
		return fmt.Errorf("hostile: nothing was sent to %s", strings.Join(routes, ", "))
	}
	return nil
}

// take reports whether there is another request to send.
func (r *run) take() bool { return r.left.Add(-1) >= 0 }

// tell tells of a failure, if it is the first.
func (r *run) tell(f *Failure) error {
	f.Seed = r.config.Seed
	if r.config.Failed != nil {
		r.failed.Do(func() { r.config.Failed(f) })
	}
	return f
}

func (r *run) count(class string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts[class]++
}

func (r *run) attack(route string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attacked[route]++
}

func statusClass(status int) string {
	if status == http.StatusServiceUnavailable {
		return "503"
	}
	return fmt.Sprintf("%dxx", status/100)
}

// checkType makes sure, once for each, that the type of a problem is a page of
// the server.
func (w *worker) checkType(ctx context.Context, c call, a answer) error {
	if a.status < 400 || c.method == http.MethodHead {
		return nil
	}
	p, err := readProblem(a)
	if err != nil {
		return err
	}
	w.mu.Lock()
	known := w.types[p.Code]
	w.types[p.Code] = true
	w.mu.Unlock()
	if known {
		return nil
	}
	page, err := w.link.do(ctx, request{method: "GET", target: p.Type})
	if err != nil {
		return err
	}
	if page.status != http.StatusOK || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.body), p.Code) {
		return fmt.Errorf("the type %s opens no page: %s", p.Type, describe(page))
	}
	return nil
}

// endOperations cancels the operations that the worker has begun, and follows
// them to their end.
func (w *worker) endOperations(ctx context.Context) error {
	for _, path := range w.tame.operations {
		c := call{route: "DELETE /v1/operations/{id}", request: request{method: "DELETE", target: path}, how: []string{"cancelled at the end"}}.wantOK()
		if err := w.send(ctx, c); err != nil {
			return err
		}
		if err := w.await(ctx, path); err != nil {
			return err
		}
	}
	return nil
}

// await follows an operation that was cancelled to its end.
func (w *worker) await(ctx context.Context, path string) error {
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ended := false
		c := call{route: "GET /v1/operations/{id}", request: request{method: "GET", target: path}, how: []string{"awaited"}}.wantOK()
		c.done = func(a answer) error {
			var op struct{ State string }
			err := json.Unmarshal(a.body, &op)
			if ended = op.State != "running"; !ended && time.Now().After(deadline) {
				return fmt.Errorf("it was cancelled %v ago and has not ended", patience)
			}
			return err
		}
		if err := w.send(ctx, c); err != nil || ended {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
