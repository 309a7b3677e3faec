package invariants

import (
	"fmt"
	"iter"
	"unique"
)

// money is what was done with that for an order, in minor units.
type money struct {
	// total and of are what the order costs.
	total int64
	of    unique.Handle[string]

	authorized, captured, voided, refunded int64
	currency                               unique.Handle[string]
}

// moneyDifferences: captured = confirmed − refunded, and nothing is held that nobody will take.
func (b *orderBook) moneyDifferences() iter.Seq[difference] {
	return func(yield func(difference) bool) {
		m := b.money
		kept, held := m.captured-m.refunded, m.authorized-m.captured-m.voided
		none := unique.Handle[string]{}
		switch {
		case m.authorized > 0 && m.of != none && m.currency != m.of:
			yield(difference{what: "currency of the payment", expected: m.of.Value(), found: m.currency.Value(), never: true})
			return
		case held < 0:
			yield(difference{what: "captured and voided", expected: "at most what was authorized, " + amount(m.authorized, m.currency),
				found: amount(m.captured+m.voided, m.currency), never: true})
			return
		case kept < 0:
			yield(difference{what: "refunded", expected: "at most what was captured, " + amount(m.captured, m.currency), found: amount(m.refunded, m.currency), never: true})
			return
		case b.status != "" && m.captured > m.total:
			yield(difference{what: "captured", expected: "at most the total, " + amount(m.total, m.of), found: amount(m.captured, m.currency), never: true})
			return
		}
		switch b.status {
		case "placed":
			return // while it is, anything may be
		case "confirmed", "shipped", "completed":
			if b.isKept() && kept != m.total && !yield(difference{what: "captured less refunded", expected: amount(m.total, m.of), found: amount(kept, m.of)}) {
				return
			}
		default:
			if kept != 0 && !yield(difference{what: "captured less refunded", expected: "0", found: amount(kept, m.currency)}) {
				return
			}
		}
		if held != 0 {
			yield(difference{what: "authorized and neither captured nor voided", expected: "0", found: amount(held, m.currency)})
		}
	}
}

// amount is for figures in minor units.
func amount(minor int64, of unique.Handle[string]) string {
	if of == (unique.Handle[string]{}) {
		return fmt.Sprint(minor)
	}
	return fmt.Sprintf("%d %s", minor, of.Value())
}
