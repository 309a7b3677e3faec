package invariants

import (
	"slices"
	"time"
)

// begun knows when the first checkout of an order began that was placed behind a position. It has a minute's worth in one entry.
type begun struct {
	first   int64
	entries []begunEntry
}

type begunEntry struct {
	at     time.Time
	placed int64
}

func (b *begun) add(placed int64, at time.Time) {
	if placed == 0 {
		return
	}
	if b.first == 0 || placed < b.first {
		b.first = placed
	}
	last := len(b.entries) - 1
	if last >= 0 && placed <= b.entries[last].placed {
		return
	}
	if last >= 0 && at.Sub(b.entries[last].at) < time.Minute {
		b.entries[last].placed = placed
		return
	}
	b.entries = append(b.entries, begunEntry{at, placed})
}

// passed says since when the checkout of an order has begun that was placed behind a position, to the minute and not too early, if one of an order before it
// has too: those of orders from before there was a checkout never begin.
func (b *begun) passed(placed int64) (at time.Time, ok bool) {
	if b.first == 0 || placed < b.first {
		return at, false
	}
	i, _ := slices.BinarySearchFunc(b.entries, placed+1, func(e begunEntry, p int64) int { return int(e.placed - p) })
	if i == len(b.entries) {
		return at, false
	}
	return b.entries[i].at.Add(time.Minute), true
}
