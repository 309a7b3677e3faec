package invariants

import (
	"fmt"
	"iter"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/stock"
	"github.com/57528e99/recount/projections"
)

// Stock holds if no more is reserved of an article than is on hand, at any moment, and neither is below 0. What is on hand is what the events
// say, received + adjusted − shipped: that a read model says the same is for projections to verify.
var Stock = app.Invariant{
	Name:  "stock",
	Holds: "of each article what is reserved is on hand, and neither was ever below 0",
	New:   func() app.InvariantFold { return &stockFold{articles: make(map[string]*article)} },
}

// stockFold has the articles, by SKU.
type stockFold struct{ articles map[string]*article }

// article has what came, went and is kept of an article, in units.
type article struct {
	received, adjusted, shipped, reserved int64
	position                              int64
	// short is the last position at which less was there than reserved, or less than nothing.
	short int64
}

func (a *article) onHand() int64 { return a.received + a.adjusted - a.shipped }

// Apply implements app.InvariantFold.
func (f *stockFold) Apply(event any, at projections.Recorded) {
	switch e := event.(type) {
	case stock.Received:
		f.move(e.SKU, at, article{received: e.Quantity})
	case stock.Adjusted:
		f.move(e.SKU, at, article{adjusted: e.Delta})
	case stock.Reserved:
		f.move(e.SKU, at, article{reserved: e.Quantity})
	case stock.Released:
		f.move(e.SKU, at, article{reserved: -e.Quantity})
	case stock.Committed:
		f.move(e.SKU, at, article{shipped: e.Quantity, reserved: -e.Quantity})
	}
}

func (f *stockFold) move(sku string, at projections.Recorded, by article) {
	a := f.articles[sku]
	if a == nil {
		a = new(article)
		f.articles[sku] = a
	}
	a.received, a.adjusted, a.shipped, a.reserved = a.received+by.received, a.adjusted+by.adjusted, a.shipped+by.shipped, a.reserved+by.reserved
	if a.position = at.Position; a.reserved < 0 || a.onHand() < a.reserved {
		a.short = at.Position
	}
}

// Unsettled implements app.InvariantFold. What is short was so at every moment since: nobody decides that.
func (f *stockFold) Unsettled() iter.Seq[app.Unsettled] {
	return func(yield func(app.Unsettled) bool) {
		for sku, a := range f.articles {
			if a.short > 0 && !yield(app.Unsettled{
				Subject: "article " + sku, What: "on hand", Expected: "at least what is reserved, which is not below 0",
				Found:     fmt.Sprintf("%d on hand (%d received, %+d adjusted, %d shipped), %d reserved", a.onHand(), a.received, a.adjusted, a.shipped, a.reserved),
				Positions: []int64{a.short}, Since: time.Time{},
			}) {
				return
			}
		}
	}
}

// Counts implements app.InvariantFold.
func (f *stockFold) Counts() []app.InvariantCount {
	var sum article
	for _, a := range f.articles {
		sum = article{received: sum.received + a.received, adjusted: sum.adjusted + a.adjusted, shipped: sum.shipped + a.shipped, reserved: sum.reserved + a.reserved}
	}
	return []app.InvariantCount{
		{Of: "articles", N: int64(len(f.articles))}, {Of: "received", N: sum.received}, {Of: "adjusted", N: sum.adjusted}, {Of: "shipped", N: sum.shipped},
		{Of: "on hand", N: sum.onHand()}, {Of: "reserved", N: sum.reserved},
	}
}
