package payment_test

import (
	"math"
	"testing"

	"github.com/57528e99/recount/domain/money"
	"github.com/57528e99/recount/domain/payment"
)

// FuzzEvolve folds events that no Decide has made, as a log may have them that
// others write to: no amount leaves its bounds, and none wraps around.
func FuzzEvolve(f *testing.F) {
	f.Add(int64(1), int64(math.MaxInt64), int64(math.MinInt64), byte(0))
	f.Add(int64(math.MinInt64), int64(math.MinInt64), int64(-1), byte(1))
	f.Add(int64(money.Max), int64(1), int64(money.Max), byte(2))
	f.Fuzz(func(t *testing.T, a, b, c int64, kind byte) {
		var p payment.Payment
		for i, n := range []int64{a, b, c} {
			e := []payment.Event{
				payment.Authorized{AmountMinor: n}, payment.Captured{AmountMinor: n}, payment.Refunded{AmountMinor: n}, payment.Voided{AmountMinor: n},
			}[(int(kind)+i)%4]
			before := p
			p = e.Evolve(p)
			moved := false
			for _, amount := range [][2]int64{
				{before.AuthorizedMinor, p.AuthorizedMinor}, {before.CapturedMinor, p.CapturedMinor}, {before.RefundedMinor, p.RefundedMinor},
			} {
				was, is := amount[0], amount[1]
				if is < -money.Max || is > money.Max {
					t.Errorf("%#v leads from %+v out of bounds to %+v", e, before, p)
				}
				if is != was && (moved || (is > was) != (n > 0)) {
					t.Errorf("%#v leads from %+v the wrong way to %+v", e, before, p)
				}
				moved = moved || is != was
			}
			// An undo has an end in every state, and gives up no less than nothing.
			undo, err := void("k").Decide(p)
			if err != nil && p.Refundable() <= 0 || len(undo) > 0 && undo[0].(payment.Voided).AmountMinor < 0 {
				t.Errorf("void of %+v = %+v, %v", p, undo, err)
			}
		}
	})
}
