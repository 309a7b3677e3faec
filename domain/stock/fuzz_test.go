package stock_test

import (
	"math"
	"testing"

	"github.com/57528e99/recount/domain/stock"
)

// FuzzEvolve folds events that no Decide has made, as a log may have them that
// others write to: no number leaves its bounds, and none wraps around.
func FuzzEvolve(f *testing.F) {
	f.Add(int64(1), int64(math.MaxInt64), int64(math.MinInt64), byte(0))
	f.Add(int64(math.MinInt64), int64(math.MinInt64), int64(-1), byte(3))
	f.Add(int64(stock.MaxOnHand), int64(1), int64(stock.MaxOnHand), byte(4))
	f.Fuzz(func(t *testing.T, a, b, c int64, kind byte) {
		var s stock.Stock
		for i, n := range []int64{a, b, c} {
			e, onHand, reserved := crafted(int(kind)+i, n)
			before := s
			s = e.Evolve(s)
			for _, moved := range []struct{ before, after, by int64 }{
				{before.OnHand, s.OnHand, onHand},
				{before.Reserved, s.Reserved, reserved},
				{before.Reservations["1"], s.Reservations["1"], reserved},
			} {
				if moved.after < -stock.MaxOnHand || moved.after > stock.MaxOnHand {
					t.Errorf("%#v leads from %+v out of bounds to %+v", e, before, s)
				}
				if moved.by > 0 && moved.after < moved.before || moved.by < 0 && moved.after > moved.before || moved.by == 0 && moved.after != moved.before {
					t.Errorf("%#v leads from %+v the wrong way to %+v", e, before, s)
				}
			}
		}
	})
}

// crafted returns an event of some kind, and in which direction it moves the
// units on hand and those reserved: the sign counts.
func crafted(kind int, n int64) (e stock.Event, onHand, reserved int64) {
	opposite := -max(n, -math.MaxInt64)
	switch kind % 5 {
	case 0:
		return stock.Received{Quantity: n}, n, 0
	case 1:
		return stock.Adjusted{Delta: n}, n, 0
	case 2:
		return stock.Reserved{OrderID: "1", Quantity: n}, 0, n
	case 3:
		return stock.Released{OrderID: "1", Quantity: n}, 0, opposite
	}
	return stock.Committed{OrderID: "1", Quantity: n}, opposite, opposite
}
