package onlineretail

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// fanOut is how many articles of one order are worked on at once. It bounds the
// goroutines; how many requests run is up to Config.Concurrency.
const fanOut = 16

// Import sends the book to the server as commands and returns how far it came,
// also if it fails. It stops at the first command that is refused
// (*RefusedError) or never got an answer (*GaveUpError), and at once when ctx is
// done. A later Import of the same book goes on where this one stopped.
//
// The first order or return is sent before all else: a server that has it, but
// has forgotten the keys of an earlier import, refuses it, and then nothing was
// changed.
func Import(ctx context.Context, c Config, book *Book) (Report, error) {
	if err := c.setDefaults(); err != nil {
		return Report{}, err
	}
	defer c.closeOwnClient()
	r := newRun(c, book)
	stop := r.watch()
	err := r.all(ctx)
	stop()
	report := r.report()
	if err != nil {
		err = fmt.Errorf("import stopped after %d of %d commands: %w", report.Done, report.Total, err)
	}
	return report, err
}

// run is an import that is under way.
type run struct {
	config   Config
	write    writer
	client   *client
	invoices []*Invoice
	openings map[string]*opening
	// slots bounds the requests that run at once. One that waits for its next
	// attempt keeps its slot, so a server in trouble gets fewer.
	slots chan struct{}
	begun time.Time
	total int64

	mu             sync.Mutex
	done, replayed int64
	position       int64 // of token
	token          string
}

func newRun(c Config, book *Book) *run {
	invoices := book.sequence()
	all := openings(invoices)
	return &run{
		config:   c,
		write:    writer{c.KeyPrefix, c.Currency, book.firstDay()},
		client:   newClient(c),
		invoices: invoices,
		openings: all,
		slots:    make(chan struct{}, c.Concurrency),
		begun:    time.Now(),
		total:    countCommands(invoices, all),
	}
}

func (r *run) all(ctx context.Context) error {
	if len(r.invoices) == 0 {
		return nil
	}
	if err := r.invoice(ctx, r.invoices[0]); err != nil {
		return err
	}
	return each(ctx, r.config.Concurrency, r.invoices[1:], r.invoice)
}

func (r *run) invoice(ctx context.Context, v *Invoice) error {
	switch v.Kind {
	case Order:
		return r.order(ctx, v)
	case Adjustment:
		return r.adjustment(ctx, v)
	default:
		return r.send(ctx, r.write.lines(v))
	}
}

// order takes an order from its placing to its end. Goods leave the shelf when
// they were shipped.
func (r *run) order(ctx context.Context, v *Invoice) error {
	articles := v.articles()
	reserve := func(ctx context.Context, a articleUnits) error {
		if err := r.open(ctx, v, a.sku); err != nil {
			return err
		}
		return r.send(ctx, r.write.reservation(v, a, "reserve"))
	}
	commit := func(ctx context.Context, a articleUnits) error {
		return r.send(ctx, r.write.reservation(v, a, "commit"))
	}
	err := r.send(ctx, r.write.lines(v))
	if err == nil {
		err = each(ctx, fanOut, articles, reserve)
	}
	if err == nil {
		err = r.send(ctx, r.write.step(v, "confirm"))
	}
	if err == nil {
		err = r.send(ctx, r.write.step(v, "ship"))
	}
	if err == nil {
		err = each(ctx, fanOut, articles, commit)
	}
	if err == nil {
		err = r.send(ctx, r.write.step(v, "complete"))
	}
	return err
}

func (r *run) adjustment(ctx context.Context, v *Invoice) error {
	for _, a := range v.articles() {
		if err := r.open(ctx, v, a.sku); err != nil {
			return err
		}
	}
	for i := range v.Lines {
		if err := r.send(ctx, r.write.adjust(v, i)); err != nil {
			return err
		}
	}
	return nil
}

// open returns when the article has its opening stock, and is called once for
// each article of an invoice. The invoice that was begun first sends it; so
// nobody waits in a circle.
func (r *run) open(ctx context.Context, v *Invoice, sku string) error {
	o := r.openings[sku]
	if o.first == v {
		if err := r.send(ctx, r.write.receive(o.articleUnits)); err != nil {
			return err
		}
		close(o.opened)
	}
	select {
	case <-o.opened:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// send returns when the server has accepted the command.
func (r *run) send(ctx context.Context, c command) error {
	body, err := json.Marshal(c.body)
	if err != nil {
		return fmt.Errorf("encode the body of %s: %w", c.key, err)
	}
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.slots }()
	q := request{method: http.MethodPost, path: c.path, key: c.key, header: jsonHeader, body: body}
	a, err := r.client.do(ctx, q)
	if err != nil {
		return err
	}
	return r.accept(q, a)
}

var jsonHeader = http.Header{"Content-Type": {"application/json"}}

// accept keeps the token of the answer that is the last in the log.
func (r *run) accept(q request, a answer) error {
	var accepted struct {
		Stream   string `json:"stream"`
		Position int64  `json:"position"`
	}
	if err := json.Unmarshal(a.Body, &accepted); err != nil || accepted.Stream == "" {
		return fmt.Errorf("%v: the server answers %d %.80q, which is not the answer to a command: check its address", q, a.Status, a.Body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done++
	if isReplay(a) {
		r.replayed++
	}
	if accepted.Position > r.position {
		r.position, r.token = accepted.Position, a.Header.Get("Consistency-Token")
	}
	return nil
}

// each calls f for all items, at most limit at once, and begins them in their
// order. After an error the others are cancelled.
func each[T any](ctx context.Context, limit int, items []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(limit)
	for _, item := range items {
		g.Go(func() error { return f(ctx, item) })
	}
	return g.Wait()
}
