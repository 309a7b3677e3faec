package onlineretail

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// command is a POST to the server.
type command struct {
	path string
	// key is the Idempotency-Key: 1 to 255 printable ASCII characters, none of
	// which needs a backslash in quotes.
	key  string
	body any
}

// The bodies of commands, as the server reads them.
type (
	linesBody struct {
		ID         string       `json:"id"`
		CustomerID *string      `json:"customer_id"`
		Country    string       `json:"country"`
		Currency   string       `json:"currency"`
		Lines      []goods.Line `json:"lines"`
		At         time.Time    `json:"at"`
	}
	stepBody struct {
		At time.Time `json:"at"`
	}
	receiveBody struct {
		Quantity int64     `json:"quantity"`
		At       time.Time `json:"at"`
	}
	adjustBody struct {
		Delta  int64     `json:"delta"`
		Reason string    `json:"reason"`
		At     time.Time `json:"at"`
	}
	reservationBody struct {
		OrderID  string    `json:"order_id"`
		Quantity int64     `json:"quantity"`
		At       time.Time `json:"at"`
	}
)

// writer writes commands. What it writes depends on nothing but the book, so it
// is the same on every run.
type writer struct {
	keyPrefix string
	currency  string
	// openedAt is the business time of the opening stock.
	openedAt time.Time
}

// lines places an order or accepts a return.
func (w writer) lines(v *Invoice) command {
	path, verb := "/v1/orders", "place"
	if v.Kind == Return {
		path, verb = "/v1/returns", "return"
	}
	return command{path, w.key(v.Number, verb), linesBody{
		ID:         v.Number,
		CustomerID: v.CustomerID,
		Country:    v.Country,
		Currency:   w.currency,
		Lines:      v.Lines,
		At:         v.At,
	}}
}

// step takes an order one step further: verb is confirm, ship or complete.
func (w writer) step(v *Invoice, verb string) command {
	return command{"/v1/orders/" + url.PathEscape(v.Number) + "/" + verb, w.key(v.Number, verb), stepBody{v.At}}
}

// reservation does something with what the order has reserved of an article:
// verb is reserve or commit.
func (w writer) reservation(v *Invoice, a articleUnits, verb string) command {
	return command{stockPath(a.sku, verb), w.key(v.Number, verb, a.sku), reservationBody{v.Number, a.quantity, v.At}}
}

// receive takes in the opening stock of an article.
func (w writer) receive(a articleUnits) command {
	return command{stockPath(a.sku, "receive"), w.key("opening", a.sku), receiveBody{a.quantity, w.openedAt}}
}

// adjust writes off line i of an adjustment.
func (w writer) adjust(v *Invoice, i int) command {
	l := v.Lines[i]
	reason := l.Description
	if strings.TrimSpace(reason) == "" {
		reason = "stock adjustment"
	}
	return command{stockPath(l.SKU, "adjust"), w.key(v.Number, "adjust", strconv.Itoa(i+1), l.SKU), adjustBody{-l.Quantity, reason, v.At}}
}

func stockPath(sku, verb string) string { return "/v1/stock/" + url.PathEscape(sku) + "/" + verb }

// key makes a key of the parts, such as online-retail/536365/reserve/85123A. One
// that would be too long for a header becomes its digest.
func (w writer) key(parts ...string) string {
	key := w.keyPrefix
	for _, part := range parts {
		key += "/" + url.PathEscape(part)
	}
	if len(key) > 255 {
		sum := sha256.Sum256([]byte(key))
		key = w.keyPrefix + "/" + hex.EncodeToString(sum[:])
	}
	return key
}

// articleUnits is how much of an article something is about.
type articleUnits struct {
	sku      string
	quantity int64
}

// articles has every article of an invoice once, in the order in which they
// first appear.
func (v *Invoice) articles() []articleUnits {
	var list []articleUnits
	for sku, sum := range goods.PerSKU(v.Lines) {
		list = append(list, articleUnits{sku, sum.Quantity})
	}
	return list
}

// opening is the opening stock of an article.
type opening struct {
	articleUnits
	// first is the invoice that sends it; those after it wait for opened.
	first  *Invoice
	opened chan struct{}
}

// openings has all articles that the invoices take from the shelf.
func openings(invoices []*Invoice) map[string]*opening {
	all := make(map[string]*opening)
	for _, v := range invoices {
		if v.Kind == Return {
			continue // what comes back is not for sale again
		}
		for _, a := range v.articles() {
			o := all[a.sku]
			if o == nil {
				o = &opening{articleUnits{sku: a.sku}, v, make(chan struct{})}
				all[a.sku] = o
			}
			o.quantity += a.quantity
		}
	}
	return all
}

// sequence returns the invoices in the order in which they are begun: first one
// that the server refuses to take twice, an order or a return, and then the
// others as in the file.
func (b *Book) sequence() []*Invoice {
	invoices := make([]*Invoice, 0, len(b.Invoices))
	for i := range b.Invoices {
		invoices = append(invoices, &b.Invoices[i])
	}
	for i, v := range invoices {
		if v.Kind != Adjustment {
			copy(invoices[1:], invoices[:i])
			invoices[0] = v
			break
		}
	}
	return invoices
}

// countCommands returns how many commands the invoices come to.
func countCommands(invoices []*Invoice, openings map[string]*opening) int64 {
	count := len(openings)
	for _, v := range invoices {
		switch v.Kind {
		case Order:
			// place, confirm, ship and complete, and reserve and commit
			count += 4 + 2*len(v.articles())
		case Adjustment:
			count += len(v.Lines)
		case Return:
			count++
		}
	}
	return int64(count)
}
