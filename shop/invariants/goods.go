package invariants

import (
	"fmt"
	"iter"
	"unique"
)

// units are those of an article for an order: how many it wants, has reserved, and of how many it was handed out.
type units struct {
	sku                    unique.Handle[string]
	wanted, reserved, left int64
}

func (b *orderBook) unitsOf(sku string) *units {
	of := unique.Make(sku)
	for i := range b.goods {
		if b.goods[i].sku == of {
			return &b.goods[i]
		}
	}
	b.goods = append(b.goods, units{sku: of})
	return &b.goods[len(b.goods)-1]
}

// goodsDifferences: reserved is what a confirmed order wants, handed out what a shipped one does, and of others nothing.
func (b *orderBook) goodsDifferences() iter.Seq[difference] {
	return func(yield func(difference) bool) {
		for _, u := range b.goods {
			say := func(what string, expected, found int64, never bool) bool {
				return expected == found || yield(difference{what: what + " of " + u.sku.Value(), expected: fmt.Sprint(expected), found: fmt.Sprint(found), never: never})
			}
			var reserved, left int64
			switch {
			case u.reserved < 0:
				if !say("reserved", 0, u.reserved, true) {
					return
				}
				continue
			case b.status == "placed" || b.status == "confirmed" && !b.checkedOut:
				continue // while it is, anything may be
			case b.status == "confirmed":
				reserved = u.wanted
			case b.isKept():
				left = u.wanted
			case b.isSent(), b.status != "" && !b.checkedOut:
				left = u.left // as whoever handed it out has said
			}
			if !say("reserved", reserved, u.reserved, false) || !say("handed out", left, u.left, false) {
				return
			}
		}
	}
}
