package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/order"
	httpclient "github.com/57528e99/recount/httpapi/client"
	"github.com/57528e99/recount/shop"
)

// HTTP measures the shop's two busiest routes. The client is in this process and takes its share of
// the machine.
type HTTP struct {
	// Connections are the numbers of connections to measure with, each of which has one request on
	// its way.
	Connections []int
	// Duration is how long to measure each contender with each number of connections.
	Duration time.Duration
	// Orders is how many orders there are to begin with. The reads are of those.
	Orders int
	// CommandsOnly has no read models run beside the commands, and reads nothing.
	CommandsOnly bool
}

// The contenders of HTTP.
const (
	namePostOrder = "POST order"
	nameGetOrder  = "GET order"
	nameSelectRow = "select row"
)

const maxOrders = 1_000_000

// Name implements Benchmark.
func (h HTTP) Name() string { return "http" }

// Check implements Benchmark.
func (h HTTP) Check() error {
	if h.Orders < 1 || h.Orders > maxOrders {
		return invalid("there must be 1 to %d orders, got %d", maxOrders, h.Orders)
	}
	return errors.Join(checkCallers(h.Connections), checkDuration(h.Duration))
}

func (h HTTP) run(ctx context.Context, env *Env) (results []Result, _ map[string]float64, err error) {
	for _, n := range h.Connections {
		err := env.with(ctx, n, func(s *scratch) error {
			found, err := h.measure(ctx, env, s, n)
			results = append(results, found...)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
	}
	found := make(map[string]float64)
	for _, pair := range [][2]string{{namePostOrder, nameInsert}, {nameGetOrder, nameSelectRow}} {
		maps.Copy(found, ratios(only(results, pair[0], pair[1]), "", pair[0], rate))
	}
	return results, found, nil
}

// only returns the results of two names.
func only(results []Result, a, b string) (list []Result) {
	for _, r := range results {
		if r.Name == a || r.Name == b {
			list = append(list, r)
		}
	}
	return list
}

func (h HTTP) measure(ctx context.Context, env *Env, s *scratch, connections int) (_ []Result, err error) {
	roles := app.Roles()
	if h.CommandsOnly {
		roles = []string{app.RoleAPI}
	}
	url, stop, err := serveShop(ctx, app.Options{DSN: s.dsn, Schema: s.schema, Roles: roles})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	transport := &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections, DisableCompression: true}
	defer transport.CloseIdleConnections()
	c := &shopClient{url: url, client: &http.Client{Transport: transport, Timeout: 30 * time.Second}}
	env.say("placing %d orders", h.Orders)
	if err := c.place(ctx, h.Orders, connections); err != nil {
		return nil, err
	}
	base, err := newBaseline(ctx, s, Append{Batch: 1, Streams: StreamsNew}, connections, nameInsert)
	if err != nil {
		return nil, err
	}
	contenders := []contender{
		{namePostOrder, func(ctx context.Context, _ int) (int, error) { return 1, c.post(ctx, c.next()) }},
		{nameInsert, base.calls(nameInsert)},
	}
	if !h.CommandsOnly {
		head, err := s.store.Head(ctx)
		if err != nil {
			return nil, err
		}
		if err := c.get(ctx, 0, head.String()); err != nil {
			return nil, fmt.Errorf("wait for the read model: %w", err)
		}
		contenders = append(contenders,
			contender{nameGetOrder, func(ctx context.Context, _ int) (int, error) { return 1, c.get(ctx, rand.IntN(h.Orders), "") }},
			contender{nameSelectRow, func(ctx context.Context, _ int) (int, error) { return s.selectOrder(ctx, rand.IntN(h.Orders)) }})
	}
	return compete(ctx, env, pace{connections, h.Duration, defaultRounds}, contenders...)
}

// shopClient is a client of the shop.
type shopClient struct {
	url    string
	client *http.Client
	begun  atomic.Int64 // how many orders somebody has begun to place
}

// place places the orders 0 to n-1.
func (c *shopClient) place(ctx context.Context, n, connections int) error {
	group, ctx := errgroup.WithContext(ctx)
	for range connections {
		group.Go(func() error {
			for i := c.next(); i < n; i = c.next() {
				if err := c.post(ctx, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// next returns the number of an order that nobody has begun to place.
func (c *shopClient) next() int { return int(c.begun.Add(1)) - 1 }

// post places order number n, as a careful client does: with a key.
func (c *shopClient) post(ctx context.Context, n int) error {
	_, value := placedOrder(n)
	o := value.(order.Placed)
	body, err := json.Marshal(map[string]any{
		"id": o.ID, "customer_id": o.CustomerID, "country": o.Country, "currency": o.Currency, "lines": o.Lines, "at": o.At,
	})
	if err != nil {
		return err
	}
	return c.do(ctx, http.StatusCreated, httpclient.Request{Method: http.MethodPost, URL: c.url + "/v1/orders", Body: body,
		Header: http.Header{"Idempotency-Key": {fmt.Sprintf("%q", "order-"+o.ID)}}})
}

// get reads an order, with a token as soon as the read model has come that far.
func (c *shopClient) get(ctx context.Context, n int, token string) error {
	request := httpclient.Request{Method: http.MethodGet, URL: fmt.Sprintf("%s/v1/orders/%d", c.url, n)}
	if token != "" {
		request.Header = http.Header{"Consistency-Token": {token}, "Prefer": {"wait=20"}}
	}
	return c.do(ctx, http.StatusOK, request)
}

func (c *shopClient) do(ctx context.Context, want int, request httpclient.Request) error {
	a, err := httpclient.Do(ctx, c.client, request)
	if err == nil && a.Status != want {
		err = fmt.Errorf("%s %s: %d: %.300s", request.Method, request.URL, a.Status, a.Body)
	}
	return err
}

// selectOrder reads all columns of a row of the read model, in the driver's own types.
func (s *scratch) selectOrder(ctx context.Context, n int) (int, error) {
	rows, err := s.pool.Query(ctx, `SELECT * FROM orders WHERE id = $1`, fmt.Sprint(n))
	if err != nil {
		return 0, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (int, error) {
		values, err := row.Values()
		return len(values), err
	})
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("order %d has %d rows", n, len(found))
	}
	return len(found), err
}

// serveShop starts a server for a log and returns its address and how to end it.
func serveShop(ctx context.Context, o app.Options) (url string, stop func() error, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	s, err := openService(ctx, shop.App(), o)
	if err != nil {
		return "", nil, errors.Join(err, ln.Close())
	}
	serving, cancel := context.WithCancel(ctx)
	served := make(chan error, 1)
	go func() { served <- s.Serve(serving, ln, nil) }()
	return "http://" + ln.Addr().String(), func() error {
		cancel()
		return errors.Join(<-served, s.Close(ctx))
	}, nil
}

// openService starts an App on a log.
func openService(ctx context.Context, a app.App, o app.Options) (*app.Service, error) {
	s, err := app.Open(ctx, a, o)
	if err != nil {
		return nil, err
	}
	if err := s.Start(ctx); err != nil {
		return nil, errors.Join(err, s.Close(ctx))
	}
	return s, nil
}
