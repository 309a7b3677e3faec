package sample

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"time"
)

// Generate writes the file, not compressed. What it holds in memory does not
// depend on the number of orders.
func Generate(w io.Writer, c Config) error {
	if err := c.setDefaults(); err != nil {
		return err
	}
	g := newGenerator(w, c)
	g.write("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
	for i := range c.Orders {
		at := g.timeOf(i)
		g.order(at)
		if g.oneIn(5) {
			g.giveBack(at)
		}
		if g.oneIn(16) {
			g.adjust(at)
		}
	}
	g.csv.Flush()
	if err := g.csv.Error(); err != nil {
		return fmt.Errorf("write generated orders: %w", err)
	}
	return nil
}

// generator is a file that is being made up.
type generator struct {
	Config
	rng       *rand.Rand
	csv       *csv.Writer
	catalogue []article
	// number is of the last invoice.
	number int
	// sold are recent orders, of which something may come back.
	sold []invoice
}

func newGenerator(w io.Writer, c Config) *generator {
	const stream = 0x73616d706c65 // of the source; the seed is the user's
	rng := rand.New(rand.NewPCG(c.Seed, stream))
	return &generator{
		Config:    c,
		rng:       rng,
		csv:       csv.NewWriter(w),
		catalogue: newCatalogue(rng, c.Articles),
		number:    700000,
	}
}

// write leaves an error to Generate: a csv.Writer keeps the first one.
func (g *generator) write(cells ...string) { _ = g.csv.Write(cells) }

func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

// timeOf spreads the orders evenly over the opening hours of all days.
func (g *generator) timeOf(order int) time.Time {
	const opens, minutes = 8 * 60, 10 * 60
	minute := int(int64(order) * int64(g.Days) * minutes / int64(g.Orders))
	return g.Start.AddDate(0, 0, minute/minutes).Add(time.Duration(opens+minute%minutes) * time.Minute)
}

// nextNumber skips one now and then: not all that is begun becomes an invoice.
func (g *generator) nextNumber() string {
	g.number++
	if g.oneIn(10) {
		g.number++
	}
	return strconv.Itoa(g.number)
}
