package shop

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/57528e99/recount/tests/hostile/wire"
)

func (w *world) readOrder() (wire.Call, bool) {
	o := w.anOrder()
	if o == nil || w.Chance(20) {
		return w.read("/v1/orders/{id}", "/v1/orders/"+w.ID(), nil).Refused(404, "not-found"), true
	}
	if w.Chance(4) {
		return w.readPast(o), true
	}
	return w.readPresent(o), true
}

func (w *world) readPresent(o *order) wire.Call {
	c := w.read("/v1/orders/{id}", "/v1/orders/"+url.PathEscape(o.ID), nil).WantOK()
	ask := w.Rng.IntN(6)
	switch ask {
	case 0:
		c.Set("If-None-Match", fmt.Sprintf(`"none", W/"%d"`, o.version))
		c.Wants = []wire.Want{{Status: 304}}
	case 1:
		c.Method = "HEAD"
	}
	c.Done = func(a wire.Answer) error {
		if ask < 2 {
			return a.IsAt(o.version)
		}
		return o.shown(a)
	}
	return c
}

// shown checks an answer that shows an order.
func (o *order) shown(by wire.Answer) error {
	if err := by.IsAt(o.version); err != nil {
		return err
	}
	return wire.Same(by.Body, o)
}

// readPast reads an order as it was after one of its events.
func (w *world) readPast(o *order) wire.Call {
	at := pick(w, o.past)
	c := w.read("/v1/orders/{id}", "/v1/orders/"+url.PathEscape(o.ID), url.Values{"as_of": {strconv.FormatInt(at.position, 10)}}).WantOK()
	was := *o
	was.Status = at.status
	c.Done = func(a wire.Answer) error { return wire.Same(a.Body, was) }
	return c
}

// list is a list that is read page by page.
type list struct {
	route, path string
	query       url.Values
	limit       int
	// items are all that it has, in order.
	items []any
	// rest checks what an answer has beside a page; nil: nothing.
	rest func(json.RawMessage) error
	read int
}

// pageFrom returns the call of the page behind a cursor, "" for the first one.
func (w *world) pageFrom(l *list, cursor string) wire.Call {
	query := url.Values{"limit": {strconv.Itoa(l.limit)}}
	for name, values := range l.query {
		query[name] = values
	}
	if cursor != "" {
		query.Set("after", cursor)
	}
	c := w.read(l.route, l.path, query).WantOK()
	c.Done = func(a wire.Answer) error { return w.readPage(l, a) }
	return c
}

// readPage checks one page, and says that the next one is to be read.
func (w *world) readPage(l *list, a wire.Answer) error {
	var page struct {
		Items []json.RawMessage `json:"items"`
		Next  *string           `json:"next"`
		Rest  json.RawMessage   `json:"totals"`
		ID    string            `json:"customer_id"`
	}
	if err := wire.DecodeStrictly(a.Body, &page); err != nil {
		return err
	}
	if page.Items == nil {
		return errors.New("items is null, want []")
	}
	end := min(len(l.items), l.read+l.limit)
	if err := wire.Same(canonicalItems(page.Items), append([]any{}, l.items[l.read:end]...)); err != nil {
		return fmt.Errorf("items %d to %d of %d: %w", l.read, end, len(l.items), err)
	}
	l.read = end
	if l.rest != nil {
		if err := l.rest(page.Rest); err != nil {
			return err
		}
	}
	if last := end == len(l.items); last != (page.Next == nil) {
		return fmt.Errorf("next is %v behind %d of %d items", page.Next != nil, end, len(l.items))
	}
	if page.Next == nil {
		return nil
	}
	if !strings.Contains(a.Header.Get("Link"), "after="+*page.Next) {
		return fmt.Errorf("the Link is %q, next %q", a.Header.Get("Link"), *page.Next)
	}
	w.Remember(*page.Next)
	c := w.pageFrom(l, *page.Next)
	w.next = &c
	return nil
}

func canonicalItems(items []json.RawMessage) []byte {
	text, err := json.Marshal(items)
	if err != nil {
		panic(fmt.Sprintf("items came from JSON: %v", err))
	}
	return text
}

// listOrders lists orders by at least one filter that only orders of this world
// pass.
func (w *world) listOrders() (wire.Call, bool) {
	query, passes := url.Values{}, []func(*order) bool{}
	filter := func(name, value string, pass func(*order) bool) {
		query.Set(name, value)
		passes = append(passes, pass)
	}
	switch w.Rng.IntN(3) {
	case 0:
		customer := pick(w, w.customers)
		filter("customer", customer, func(o *order) bool { return o.CustomerID != nil && *o.CustomerID == customer })
	case 1:
		filter("country", w.country, func(*order) bool { return true })
	case 2:
		day := w.time().Format("2006-01-02")
		filter("day", day, func(o *order) bool { return o.PlacedAt.Format("2006-01-02") == day })
	}
	if w.Chance(2) {
		status := pick(w, []string{"placed", "confirmed", "shipped", "completed", "cancelled"})
		filter("status", status, func(o *order) bool { return o.Status == status })
	}
	var found []*order
	for _, o := range w.orders {
		if !slices.ContainsFunc(passes, func(pass func(*order) bool) bool { return !pass(o) }) {
			found = append(found, o)
		}
	}
	l := &list{route: "/v1/orders", path: "/v1/orders", query: query, limit: 5 + w.Rng.IntN(96)}
	for _, o := range newestFirst(found) {
		l.items = append(l.items, o)
	}
	return w.pageFrom(l, ""), true
}

// newestFirst sorts by time and id, the highest first.
func newestFirst(list []*order) []*order {
	slices.SortFunc(list, func(a, b *order) int {
		return cmp.Or(b.PlacedAt.Compare(a.PlacedAt), strings.Compare(b.ID, a.ID))
	})
	return list
}
