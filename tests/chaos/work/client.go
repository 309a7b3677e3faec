package work

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/57528e99/recount/eventstore/logcheck"
	httpclient "github.com/57528e99/recount/httpapi/client"
)

// clientCallers is how many requests of a client are under way at once.
const clientCallers = 4

// client is a process that places orders over HTTP, with idempotency keys.
type client struct {
	spec    Spec
	http    *http.Client
	journal *logcheck.Lines

	mu sync.Mutex
	// answered are orders that were placed, for requests that come twice.
	answered []Placing
}

// Placing is an order that a client has asked for, and what it was told.
type Placing struct {
	// ID is that of the order, and the idempotency key.
	ID       string `json:"id"`
	Quantity int    `json:"quantity"`
	// Status is that of the answer; 0: there is none yet. ETag and Body are the
	// answer's.
	Status int    `json:"status,omitempty"`
	ETag   string `json:"etag,omitempty"`
	Body   string `json:"body,omitempty"`
	Token  string `json:"token,omitempty"`
	// Read is what the order was read as, at Token; 0: it was not read.
	Read int64 `json:"read,omitempty"`
}

// UnitPrice is what a piece costs in an order of a client's, in minor units.
const UnitPrice = 450

func (p Placing) request() string {
	return fmt.Sprintf(`{"id":"%s","country":"Norway","currency":"NOK","placed_at":"2026-01-01T00:00:00Z",`+
		`"lines":[{"sku":"TEA","description":"","quantity":%d,"unit_price_minor":%d}]}`, p.ID, p.Quantity, UnitPrice)
}

func runClient(ctx context.Context, s Spec) (err error) {
	path := HistoryFile(s.Dir, s.Name)
	past, err := LoadPlacings(path)
	if err != nil {
		return err
	}
	j, err := logcheck.OpenLines(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	transport := &http.Transport{MaxIdleConnsPerHost: clientCallers}
	defer transport.CloseIdleConnections()
	c := &client{spec: s, http: &http.Client{Transport: transport, Timeout: 15 * time.Second}, journal: j}
	open := make(map[string]Placing)
	for _, p := range past {
		if open[p.ID] = p; p.Status != 0 {
			delete(open, p.ID)
			c.answered = append(c.answered, p)
		}
	}
	var again []Placing
	for _, p := range open {
		again = append(again, p)
	}
	var callersDone sync.WaitGroup
	for n := range clientCallers {
		rng := rand.New(rand.NewPCG(s.Seed, uint64(len(past))<<8|uint64(n)))
		callersDone.Go(func() {
			for _, p := range every(again, n) {
				c.place(ctx, rng, p)
			}
			c.call(ctx, rng)
		})
	}
	callersDone.Wait()
	return nil
}

// call places orders until ctx ends. Some it places a second time, with the same
// key.
func (c *client) call(ctx context.Context, rng *rand.Rand) {
	for pause(ctx, time.Duration(rng.IntN(40))*time.Millisecond) {
		if p, ok := c.known(rng); ok && rng.IntN(8) == 0 {
			p.Status = 0
			c.place(ctx, rng, p)
			continue
		}
		p := Placing{ID: strings.ReplaceAll(newID(rng, false).String(), "-", ""), Quantity: 1 + rng.IntN(9)}
		if c.journal.Append(p) != nil {
			return
		}
		c.place(ctx, rng, p)
	}
}

func (c *client) known(rng *rand.Rand) (Placing, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.answered) == 0 {
		return Placing{}, false
	}
	return c.answered[rng.IntN(len(c.answered))], true
}

// place sends an order to one server after the other until it has a definite
// answer.
func (c *client) place(ctx context.Context, rng *rand.Rand, p Placing) {
	for ctx.Err() == nil {
		server := c.spec.Servers[rng.IntN(len(c.spec.Servers))]
		answer, err := c.do(ctx, "POST", server+"/v1/orders", p.request(), "Idempotency-Key", p.ID)
		if err == nil && definite(answer) {
			p.Status, p.ETag, p.Body, p.Token = answer.Status, answer.Header.Get("ETag"), string(answer.Body), answer.Header.Get("Consistency-Token")
			break
		}
		if err == nil {
			say("order %s at %s: %d %s", p.ID, server, answer.Status, answer.Body)
		}
		pause(ctx, time.Duration(20+rng.IntN(200))*time.Millisecond)
	}
	if p.Status == 0 {
		return
	}
	if p.Status == http.StatusCreated && rng.IntN(4) == 0 {
		p.Read = c.readTotal(ctx, rng, p)
	}
	if c.journal.Append(p) == nil {
		c.mu.Lock()
		c.answered = append(c.answered, p)
		c.mu.Unlock()
	}
}

// readTotal reads an order as it is behind the token of its answer. It returns
// its total, or 0 if no server could say.
func (c *client) readTotal(ctx context.Context, rng *rand.Rand, p Placing) int64 {
	server := c.spec.Servers[rng.IntN(len(c.spec.Servers))]
	answer, err := c.do(ctx, "GET", server+"/v1/orders/"+p.ID, "", "Consistency-Token", p.Token, "Prefer", "wait=5")
	if err != nil || answer.Status >= 500 || answer.Status == http.StatusTooManyRequests {
		return 0
	}
	var order struct {
		Total int64 `json:"total_minor"`
	}
	// -1 is never right: the read is behind its token, or no order.
	if answer.Status != http.StatusOK || json.Unmarshal(answer.Body, &order) != nil {
		say("read of %s at %s: %d %s", p.ID, server, answer.Status, answer.Body)
		return -1
	}
	return order.Total
}

// definite reports whether asking again would bring the same answer.
func definite(a httpclient.Answer) bool {
	switch a.Status {
	case http.StatusTooManyRequests:
		return false
	case http.StatusConflict:
		return !bytes.Contains(a.Body, []byte(`"code":"idempotency-in-progress"`)) && !bytes.Contains(a.Body, []byte(`"code":"conflict"`))
	default:
		return a.Status < http.StatusInternalServerError
	}
}

func (c *client) do(ctx context.Context, method, url, body string, header ...string) (httpclient.Answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	q := httpclient.Request{Method: method, URL: url, Header: make(http.Header)}
	if body != "" {
		q.Body = []byte(body)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	return httpclient.Do(ctx, c.http, q)
}
