package ledger

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/domain/account"
	"github.com/57528e99/recount/domain/payment"
	"github.com/57528e99/recount/projections"
)

// Invariant holds if each transaction balances, and what payments took and gave back is what was posted.
var Invariant = app.Invariant{
	Name:  "ledger",
	Holds: "each transaction balances, and what is posted for an order is what was captured and refunded for it",
	New: func() app.InvariantFold {
		return &ledgerFold{unposted: make(map[entryOf]*unposted), balances: make(map[balanceOf]int64)}
	},
}

// What transactions are posted for, see post.
const (
	forCapture = "captured for order "
	forRefund  = "refunded for order "
)

// ledgerFold has what is not posted yet, or has no payment, and the balances of accounts.
type ledgerFold struct {
	unposted     map[entryOf]*unposted
	balances     map[balanceOf]int64
	transactions int64
	unbalanced   []app.Unsettled
}

// maxUnbalanced bounds those that are kept.
const maxUnbalanced = 10_000

type (
	// entryOf is what is posted to an account for an order.
	entryOf struct{ account, order, currency string }
	// unposted is what payments say less what is posted.
	unposted struct {
		paid, posted int64
		positions    []int64
		since        time.Time
	}
	balanceOf struct{ account, currency string }
)

// Apply implements app.InvariantFold.
func (f *ledgerFold) Apply(event any, at projections.Recorded) {
	switch e := event.(type) {
	case payment.Captured:
		f.move(entryOf{Sales, e.OrderID, e.Currency}, at, e.AmountMinor, 0)
	case payment.Refunded:
		f.move(entryOf{Refunds, e.OrderID, e.Currency}, at, e.AmountMinor, 0)
	case account.Posted:
		f.post(e, at)
	}
}

func (f *ledgerFold) post(e account.Posted, at projections.Recorded) {
	f.transactions++
	var sum int64
	posted := make(map[string]int64)
	for _, entry := range e.Entries {
		sum += entry.AmountMinor
		posted[entry.Account] += entry.AmountMinor
		f.balances[balanceOf{entry.Account, e.Currency}] += entry.AmountMinor
	}
	if sum != 0 && len(f.unbalanced) < maxUnbalanced {
		f.unbalanced = append(f.unbalanced, app.Unsettled{Subject: "transaction " + e.ID, What: "sum", Expected: "0", Found: strconv.FormatInt(sum, 10), Positions: []int64{at.Position}})
	}
	if order, is := strings.CutPrefix(e.Reason, forCapture); is {
		f.move(entryOf{Sales, order, e.Currency}, at, 0, -posted[Sales])
	} else if order, is := strings.CutPrefix(e.Reason, forRefund); is {
		f.move(entryOf{Refunds, order, e.Currency}, at, 0, posted[Refunds])
	}
}

func (f *ledgerFold) move(of entryOf, at projections.Recorded, paid, posted int64) {
	u := f.unposted[of]
	if u == nil {
		u = new(unposted)
		f.unposted[of] = u
	}
	u.paid, u.posted, u.since = u.paid+paid, u.posted+posted, at.RecordedAt
	if u.positions = append(u.positions, at.Position); u.paid == u.posted {
		delete(f.unposted, of)
	}
}

// Unsettled implements app.InvariantFold.
func (f *ledgerFold) Unsettled() iter.Seq[app.Unsettled] {
	return func(yield func(app.Unsettled) bool) {
		for _, t := range f.unbalanced {
			if !yield(t) {
				return
			}
		}
		for of, u := range f.unposted {
			if !yield(app.Unsettled{Subject: "order " + of.order, What: fmt.Sprintf("posted to %s, %s", of.account, of.currency), Expected: strconv.FormatInt(u.paid, 10),
				Found: strconv.FormatInt(u.posted, 10), Positions: u.positions, Since: u.since}) {
				return
			}
		}
	}
}

// Counts implements app.InvariantFold.
func (f *ledgerFold) Counts() []app.InvariantCount {
	counts := []app.InvariantCount{{Of: "transactions", N: f.transactions}}
	of := slices.SortedFunc(maps.Keys(f.balances), func(a, b balanceOf) int {
		return strings.Compare(a.account+" "+a.currency, b.account+" "+b.currency)
	})
	for _, b := range of {
		counts = append(counts, app.InvariantCount{Of: b.account + " " + b.currency, N: f.balances[b]})
	}
	return counts
}
