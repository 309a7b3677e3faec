package onlineretail

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/order"
	"github.com/57528e99/recount/domain/returns"
	"github.com/57528e99/recount/domain/stock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeShop is a server with the rules of the shop and without a database. It
// records what was done, does nothing twice under one key, and fails as told.
type fakeShop struct {
	// fault says how to fail a request, if at all. It is called with the lock held.
	fault func(*http.Request) fault
	// latency is how long every request takes.
	latency time.Duration
	// behind is how many reads find that the read models lag.
	behind int

	mu       sync.Mutex
	orders   map[string]order.Order
	stocks   map[string]stock.Stock
	returned map[string]returns.Return
	sales    map[string]salesRow
	// keys has what was answered under each key, and to what.
	keys map[string]keptAnswer
	// done has the keys of accepted commands in their order.
	done []string
	// attempts has when each key was sent.
	attempts   map[string][]time.Time
	running    int
	mostAtOnce int
}

type keptAnswer struct {
	payload string
	status  int
	body    []byte
	token   string
}

// fault is a way to fail.
type fault int

const (
	noFault fault = iota
	dropBefore
	dropAfter
	cutAnswer
	busy
	limited
	inProgress
	gateway
	noRoute
)

func newFakeShop() *fakeShop {
	return &fakeShop{
		fault:    func(*http.Request) fault { return noFault },
		orders:   make(map[string]order.Order),
		stocks:   make(map[string]stock.Stock),
		returned: make(map[string]returns.Return),
		sales:    make(map[string]salesRow),
		keys:     make(map[string]keptAnswer),
		attempts: make(map[string][]time.Time),
	}
}

func (s *fakeShop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	s.enter(1)
	defer s.enter(-1)
	if s.latency > 0 {
		<-time.After(s.latency)
	}
	if r.Method == http.MethodGet {
		s.serveSales(w, r)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	key := strings.Trim(r.Header.Get("Idempotency-Key"), `"`)
	s.attempts[key] = append(s.attempts[key], time.Now())
	f := s.fault(r)
	switch f {
	case dropBefore:
		panic(http.ErrAbortHandler)
	case busy:
		problem(w, http.StatusServiceUnavailable, "overloaded", "2", "too much to do")
		return
	case limited:
		problem(w, http.StatusTooManyRequests, "limited", "", "too many requests")
		return
	case inProgress:
		problem(w, http.StatusConflict, "idempotency-in-progress", "1", "still running")
		return
	case noRoute:
		problem(w, http.StatusNotFound, "route-not-found", "", "nothing is served here")
		return
	case gateway:
		http.Error(w, "<html>bad gateway</html>", http.StatusBadGateway)
		return
	}
	a, again := s.answer(r, key, body)
	switch f {
	case dropAfter:
		panic(http.ErrAbortHandler)
	case cutAnswer:
		w.Header().Set("Content-Length", strconv.Itoa(len(a.body)))
		w.WriteHeader(a.status)
		_, _ = w.Write(a.body[:len(a.body)/2])
		panic(http.ErrAbortHandler)
	}
	if again {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header().Set("Consistency-Token", a.token)
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body)
}

func (s *fakeShop) enter(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running += n
	s.mostAtOnce = max(s.mostAtOnce, s.running)
}

// answer carries the command out, or repeats what it answered under its key.
func (s *fakeShop) answer(r *http.Request, key string, body []byte) (a keptAnswer, again bool) {
	payload := r.URL.EscapedPath() + " " + string(body)
	if kept, found := s.keys[key]; found {
		if kept.payload != payload {
			return keptAnswer{status: http.StatusUnprocessableEntity, body: problemBody("idempotency-key-reused", "another payload")}, false
		}
		return kept, true
	}
	a.payload = payload
	err := cmp.Or(checkKey(key), s.execute(r, body))
	switch {
	case err == nil:
		s.done = append(s.done, key)
		a.status, a.token = http.StatusOK, "token-"+strconv.Itoa(len(s.done))
		a.body = fmt.Appendf(nil, `{"stream":"x","version":0,"position":%d}`, len(s.done))
	case errors.Is(err, order.ErrAlreadyPlaced):
		a.status, a.body = http.StatusConflict, problemBody("order-exists", err.Error())
	case errors.Is(err, returns.ErrAlreadyReturned):
		a.status, a.body = http.StatusConflict, problemBody("return-exists", err.Error())
	default:
		a.status, a.body = http.StatusUnprocessableEntity, problemBody("rejected", err.Error())
	}
	s.keys[key] = a
	return a, false
}

func checkKey(key string) error {
	outside := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	if key == "" || len(key) > 255 || strings.ContainsFunc(key, outside) {
		return fmt.Errorf("the key %q is not 1 to 255 printable ASCII characters", key)
	}
	return nil
}

// commandBody has the members of all bodies.
type commandBody struct {
	ID         string       `json:"id"`
	CustomerID *string      `json:"customer_id"`
	Country    string       `json:"country"`
	Currency   string       `json:"currency"`
	Lines      []goods.Line `json:"lines"`
	Quantity   int64        `json:"quantity"`
	Delta      int64        `json:"delta"`
	Reason     string       `json:"reason"`
	OrderID    string       `json:"order_id"`
	At         time.Time    `json:"at"`
}

// execute decides as the shop does.
func (s *fakeShop) execute(r *http.Request, body []byte) error {
	var b commandBody
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return err
	}
	if r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		return fmt.Errorf("%s with content of %q", r.Method, r.Header.Get("Content-Type"))
	}
	// A code may hold an escaped slash, so the path is split before it is decoded.
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), "/v1/"), "/")
	for i := range parts {
		parts[i], _ = url.PathUnescape(parts[i])
	}
	switch {
	case len(parts) == 1 && parts[0] == "orders":
		events, err := order.Place{ID: b.ID, CustomerID: b.CustomerID, Country: b.Country, Currency: b.Currency, Lines: b.Lines, At: b.At}.Decide(s.orders[b.ID])
		evolve(s.orders, b.ID, events)
		for _, e := range events {
			s.sell(e.(order.Placed))
		}
		return err
	case len(parts) == 1 && parts[0] == "returns":
		events, err := returns.Accept{ID: b.ID, CustomerID: b.CustomerID, Country: b.Country, Currency: b.Currency, Lines: b.Lines, At: b.At}.Decide(s.returned[b.ID])
		evolve(s.returned, b.ID, events)
		for _, e := range events {
			s.refund(e.(returns.Returned))
		}
		return err
	case len(parts) == 3 && parts[0] == "orders":
		decide := map[string]func(order.Order) ([]order.Event, error){
			"confirm":  order.Confirm{At: b.At}.Decide,
			"ship":     order.Ship{At: b.At}.Decide,
			"complete": order.Complete{At: b.At}.Decide,
		}[parts[2]]
		events, err := decide(s.orders[parts[1]])
		evolve(s.orders, parts[1], events)
		return err
	case len(parts) == 3 && parts[0] == "stock":
		sku := parts[1]
		decide := map[string]func(stock.Stock) ([]stock.Event, error){
			"receive": stock.Receive{SKU: sku, Quantity: b.Quantity, At: b.At}.Decide,
			"adjust":  stock.Adjust{SKU: sku, Delta: b.Delta, Reason: b.Reason, At: b.At}.Decide,
			"reserve": stock.Reserve{SKU: sku, OrderID: b.OrderID, Quantity: b.Quantity, At: b.At}.Decide,
			"commit":  stock.Commit{SKU: sku, OrderID: b.OrderID, Quantity: b.Quantity, At: b.At}.Decide,
		}[parts[2]]
		events, err := decide(s.stocks[sku])
		evolve(s.stocks, sku, events)
		return err
	}
	return fmt.Errorf("there is no %s", r.URL.EscapedPath())
}

func evolve[S any, E interface{ Evolve(S) S }](states map[string]S, id string, events []E) {
	for _, e := range events {
		states[id] = e.Evolve(states[id])
	}
}

func (s *fakeShop) sell(e order.Placed) {
	day := e.At.Format(time.DateOnly)
	row := s.sales[day]
	row.Day, row.Currency = day, e.Currency
	row.Orders++
	for _, l := range e.Lines {
		row.Units += l.Quantity
	}
	row.GrossMinor += e.TotalMinor
	row.NetMinor += e.TotalMinor
	s.sales[day] = row
}

func (s *fakeShop) refund(e returns.Returned) {
	day := e.At.Format(time.DateOnly)
	row := s.sales[day]
	row.Day, row.Currency = day, e.Currency
	row.RefundsMinor += e.TotalMinor
	row.NetMinor -= e.TotalMinor
	s.sales[day] = row
}

// serveSales answers in pages of two rows, among them rows in another currency.
func (s *fakeShop) serveSales(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	if s.behind > 0 && r.Header.Get("Consistency-Token") != "" {
		s.behind--
		problem(w, http.StatusServiceUnavailable, "projection-behind", "1", "the read model is behind")
		return
	}
	rows := []salesRow{}
	for day, row := range s.sales {
		if q.Get("from") <= day && day <= q.Get("to") {
			rows = append(rows, row, salesRow{Day: day, Currency: "EUR", Orders: 99})
		}
	}
	slices.SortFunc(rows, func(a, b salesRow) int { return cmp.Or(cmp.Compare(a.Day, b.Day), cmp.Compare(a.Currency, b.Currency)) })
	begin, _ := strconv.Atoi(q.Get("after"))
	end := min(begin+2, len(rows))
	page := map[string]any{"items": rows[begin:end], "next": nil}
	if end < len(rows) {
		page["next"] = strconv.Itoa(end)
	}
	_ = json.NewEncoder(w).Encode(page)
}

func problem(w http.ResponseWriter, status int, code, retryAfter, detail string) {
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(status)
	_, _ = w.Write(problemBody(code, detail))
}

func problemBody(code, detail string) []byte {
	b, _ := json.Marshal(Problem{Code: code, Title: "Title of " + code, Detail: detail, Hint: "Hint of " + code + "."})
	return b
}

// checkOutcome checks that everything in the book was done once and in its order.
func (s *fakeShop) checkOutcome(t *testing.T, book *Book) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	place := make(map[string]int, len(s.done))
	for i, key := range s.done {
		if _, twice := place[key]; twice {
			t.Errorf("%s was done twice", key)
		}
		place[key] = i
	}
	invoices := book.sequence()
	if want := countCommands(invoices, openings(invoices)); int64(len(s.done)) != want {
		t.Errorf("%d commands were done, want %d", len(s.done), want)
	}
	before := func(first, then string) {
		i, done := place[first]
		j, followed := place[then]
		if !done || !followed || i > j {
			t.Errorf("%s was done (%v) as number %d, want it before %s (%v), number %d", first, done, i, then, followed, j)
		}
	}
	w := writer{keyPrefix: "online-retail", currency: "GBP"}
	for _, v := range invoices {
		if v.Kind == Return {
			continue
		}
		for _, a := range v.articles() {
			received := w.receive(a).key
			if v.Kind == Adjustment {
				for i, l := range v.Lines {
					before(w.receive(articleUnits{sku: l.SKU}).key, w.adjust(v, i).key)
				}
				continue
			}
			reserved, committed := w.reservation(v, a, "reserve").key, w.reservation(v, a, "commit").key
			before(received, reserved)
			before(w.lines(v).key, reserved)
			before(reserved, w.step(v, "confirm").key)
			before(w.step(v, "ship").key, committed)
			before(committed, w.step(v, "complete").key)
		}
	}
	for id, o := range s.orders {
		if o.Status != order.StatusCompleted {
			t.Errorf("order %s is %s, want completed", id, o.Status)
		}
	}
	for sku, level := range s.stocks {
		if level.OnHand != 0 || level.Reserved != 0 {
			t.Errorf("stock of %s is %+v, want nothing left", sku, level)
		}
	}
	if differences := compare(book.Days(), s.sales); len(differences) > 0 {
		t.Errorf("sales differ:\n%v", differences)
	}
}
