package wire

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Attack is what several workers do to two servers of one log, or twice to the same one.
type Attack struct {
	// Seed decides what is sent.
	Seed  uint64
	hosts [2]string
	tell  func(*Failure)
	left  atomic.Int64
	// paths puts paths of the index into raw connections.
	paths *strings.Replacer

	mu     sync.Mutex
	failed bool
	// Answers counts them by class: "2xx", "4xx", "503", and "raw" for raw connections. Problems are
	// the kinds that were met, Attacked counts the requests by route. They are to be read when the
	// workers have ended.
	Answers, Attacked map[string]int
	Problems          map[string]bool
}

// NewAttack returns an attack of so many requests on the servers at two addresses. Tell is called
// with the first failure; it may be nil.
func NewAttack(urls [2]string, seed uint64, requests int, tell func(*Failure)) (*Attack, error) {
	a := &Attack{Seed: seed, tell: tell, Answers: make(map[string]int), Attacked: make(map[string]int), Problems: make(map[string]bool)}
	a.left.Store(int64(requests))
	for i, address := range urls {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "http" || u.Host == "" {
			return nil, fmt.Errorf("hostile: an address must be like http://127.0.0.1:8080, it is %q", address)
		}
		a.hosts[i] = u.Host
	}
	return a, nil
}

// Take reports whether there is another request to send.
func (a *Attack) Take() bool { return a.left.Add(-1) >= 0 }

// Worker sends one request after another on a connection of its own.
type Worker struct {
	*Attack
	Number int
	Luck   *Luck
	// Link is its connection, Second one to the other server, for two requests at once.
	Link, Second Link
	// Sent counts its requests.
	Sent int
}

// Worker returns the worker of a number. Half of them have the one server, half the other.
func (a *Attack) Worker(number int, l *Luck) *Worker {
	return &Worker{Attack: a, Number: number, Luck: l, Link: Link{Host: a.hosts[number%2]}, Second: Link{Host: a.hosts[1-number%2]}}
}

// Close ends its connections.
func (w *Worker) Close() {
	w.Link.Close()
	w.Second.Close()
}

// Count counts an answer.
func (w *Worker) Count(a Answer) {
	if a.Status == http.StatusServiceUnavailable {
		w.count("503")
		return
	}
	w.count(fmt.Sprintf("%dxx", a.Status/100))
}

func (a *Attack) count(class string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.Answers[class]++
}

// Send sends a call and checks its answer.
func (w *Worker) Send(ctx context.Context, c Call) error {
	w.Sent++
	c.Seal()
	w.mu.Lock()
	w.Attacked[c.Route]++
	w.mu.Unlock()
	a, err := w.Link.Do(ctx, c.Request)
	if ctx.Err() != nil {
		// Not its cause, which is what another worker has found.
		return ctx.Err()
	}
	if err == nil {
		if err = c.Judge(a); err == nil {
			err = w.checkType(ctx, c, a)
		}
	}
	if err != nil {
		return w.Fail(c, a, err)
	}
	w.Count(a)
	if a.Status == http.StatusAccepted {
		w.Luck.Operations = append(w.Luck.Operations, a.Header.Get("Location"))
	}
	return nil
}

// checkType makes sure, once for each, that the type of a problem is a page of
// the server.
func (w *Worker) checkType(ctx context.Context, c Call, a Answer) error {
	if a.Status < 400 || c.Method == http.MethodHead {
		return nil
	}
	p, err := ReadProblem(a)
	if err != nil {
		return err
	}
	w.mu.Lock()
	known := w.Problems[p.Code]
	w.Problems[p.Code] = true
	w.mu.Unlock()
	if known {
		return nil
	}
	page, err := w.Link.Do(ctx, Request{Method: "GET", Target: p.Type})
	if err != nil {
		return err
	}
	if page.Status != http.StatusOK || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") || !strings.Contains(string(page.Body), p.Code) {
		return fmt.Errorf("the type %s opens no page: %s", p.Type, Describe(page))
	}
	return nil
}

// Fail says that the last answer, which is a, is wrong.
func (w *Worker) Fail(c Call, a Answer, err error) error {
	return w.Tell(&Failure{Worker: w.Number, Number: w.Sent, How: c.HowText(), Curl: c.Curl(w.Link.Host), Answer: Describe(a), Err: err})
}

// Tell tells of a failure, if it is the first.
func (a *Attack) Tell(f *Failure) error {
	f.Seed = a.Seed
	a.mu.Lock()
	first := !a.failed
	a.failed = true
	a.mu.Unlock()
	if first && a.tell != nil {
		a.tell(f)
	}
	return f
}

// SendWild sends what mutations make of a valid call of which nothing is believed.
func (w *Worker) SendWild(ctx context.Context, l *Luck, base Call) error {
	c, steps := l.wild(base)
	err := w.Send(ctx, c)
	if f, ok := err.(*Failure); ok && len(steps) > 1 {
		w.shrink(ctx, l, f, base, steps)
	}
	return err
}

// shrink looks for fewer mutations that are answered wrongly too.
func (w *Worker) shrink(ctx context.Context, l *Luck, f *Failure, base Call, steps []wildStep) {
	for i := 0; i < len(steps) && len(steps) > 1; {
		fewer := slices.Delete(slices.Clone(steps), i, i+1)
		c := base.Clone()
		for _, s := range fewer {
			s.do(l, &c)
		}
		c.Wants, c.Done = nil, nil
		smaller, ok := w.Send(ctx, c).(*Failure)
		if !ok {
			i++
			continue
		}
		smaller.Number = f.Number
		*f, steps = *smaller, fewer
	}
}

// SendRaw speaks as no honest client would.
func (w *Worker) SendRaw(ctx context.Context) error {
	w.Sent++
	r := Pick(w.Luck, rawLinks)
	w.count("raw")
	if err := r.send(ctx, w.Link.Host, w.paths); err != nil && ctx.Err() == nil {
		return w.Tell(&Failure{Worker: w.Number, Number: w.Sent, How: "raw connection: " + r.name, Curl: "printf " + quote(w.paths.Replace(strings.Join(r.pieces, ""))), Err: err})
	}
	return ctx.Err()
}

// Work attacks routes of which nothing is known but what the index says, until there is no request
// left to send.
func (w *Worker) Work(ctx context.Context, routes []IndexRoute) (err error) {
	defer w.Close()
	for err == nil && w.Take() {
		c := Pick(w.Luck, routes).Call(w.Luck)
		switch n := w.Luck.Rng.IntN(20); {
		case n < 6:
			err = w.Send(ctx, c)
		case n < 12:
			w.Luck.Mutate(&c)
			err = w.Send(ctx, c)
		case n < 19:
			err = w.SendWild(ctx, w.Luck, c)
		default:
			err = w.SendRaw(ctx)
		}
	}
	return err
}
