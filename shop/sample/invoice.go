package sample

import (
	"slices"
	"strconv"
	"time"
)

// invoice is one invoice of the file.
type invoice struct {
	number   string
	at       time.Time
	customer string
	country  string
	lines    []line
}

type line struct {
	article
	quantity int
}

func (g *generator) order(at time.Time) {
	v := invoice{number: g.nextNumber(), at: at, country: homeCountry}
	guest := g.oneIn(8)
	if !guest {
		v.customer, v.country = g.customer()
	}
	for n := g.lineCount(); len(v.lines) < n; {
		v.lines = append(v.lines, g.orderLine(v.lines, guest))
	}
	late := len(v.lines)
	if len(v.lines) > 1 && g.oneIn(40) {
		late = 1 + g.rng.IntN(len(v.lines)-1)
	}
	g.writeInvoice(v, late)
	g.remember(v)
}

// customer returns a customer's id and country, which always belong together.
func (g *generator) customer() (id, country string) {
	n := popular(g.rng, g.Customers)
	country = homeCountry
	if n%10 == 7 {
		country = countries[n/10%len(countries)]
	}
	return strconv.Itoa(30000 + n), country
}

func (g *generator) lineCount() int {
	most := 64
	if g.oneIn(25) {
		most = g.MaxLines
	}
	return 1 + skewed(g.rng, min(most, g.MaxLines))
}

// orderLine makes a line up that follows others.
func (g *generator) orderLine(others []line, guest bool) line {
	l := line{article: g.catalogue[popular(g.rng, len(g.catalogue))], quantity: g.quantity(guest)}
	switch {
	case g.oneIn(60):
		l.article = pick(g.rng, extras)
	case len(others) > 0 && g.oneIn(40):
		l.article = pick(g.rng, others).article
	}
	switch {
	case guest:
		l.pence = l.pence * 6 / 5 // they pay with tax
	case l.quantity >= 50:
		l.pence = l.pence * 9 / 10
	}
	switch {
	case g.oneIn(350):
		l.description, l.pence = "", 0
	case g.oneIn(350):
		l.pence = 0
	}
	return l
}

func (g *generator) quantity(guest bool) int {
	dozens := []int{1, 1, 2, 2, 3, 4, 6, 6, 8, 10, 12, 12, 24, 36, 48}
	switch {
	case guest:
		return 1 + skewed(g.rng, 4)
	case g.oneIn(150):
		return 50 + skewed(g.rng, 3000)
	}
	return pick(g.rng, dozens)
}

// remember keeps the order in case something of it comes back.
func (g *generator) remember(v invoice) {
	const most = 200
	if len(g.sold) == most {
		g.sold = slices.Delete(g.sold, 0, 1)
	}
	g.sold = append(g.sold, v)
}

// giveBack takes back something of an order, never more than was sold, or gives
// a customer a discount afterwards.
func (g *generator) giveBack(at time.Time) {
	if len(g.sold) == 0 {
		return
	}
	sold := pick(g.rng, g.sold)
	v := invoice{number: "C" + g.nextNumber(), at: at, customer: sold.customer, country: sold.country}
	if g.oneIn(10) {
		given := discount
		given.pence = 50 + g.rng.IntN(5000)
		v.lines = []line{{given, -1}}
	}
	for n := 1 + skewed(g.rng, 8); len(v.lines) < n; {
		l := &sold.lines[g.rng.IntN(len(sold.lines))]
		if l.quantity == 0 {
			break
		}
		back := 1 + g.rng.IntN(l.quantity)
		l.quantity -= back
		v.lines = append(v.lines, line{l.article, -back})
	}
	if len(v.lines) > 0 {
		g.writeInvoice(v, len(v.lines))
	}
}

func (g *generator) adjust(at time.Time) {
	lost := g.catalogue[popular(g.rng, len(g.catalogue))]
	lost.description, lost.pence = pick(g.rng, reasons), 0
	g.writeInvoice(invoice{
		number:  g.nextNumber(),
		at:      at,
		country: homeCountry,
		lines:   []line{{lost, -1 - skewed(g.rng, 300)}},
	}, 1)
}

// writeInvoice writes the lines from late on with a minute more.
func (g *generator) writeInvoice(v invoice, late int) {
	for i, l := range v.lines {
		at := v.at
		if i >= late {
			at = at.Add(time.Minute)
		}
		g.write(v.number, l.sku, l.description, strconv.Itoa(l.quantity), at.Format(time.RFC3339), pounds(l.pence), v.customer, v.country)
	}
}

// pounds writes an amount as spreadsheets do: 2.55, 2.5, 2.
func pounds(pence int) string {
	text := strconv.Itoa(pence / 100)
	switch {
	case pence%100 == 0:
		return text
	case pence%10 == 0:
		return text + "." + strconv.Itoa(pence%100/10)
	}
	return text + "." + strconv.Itoa(pence%100/10) + strconv.Itoa(pence%10)
}
