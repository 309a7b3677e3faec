package money_test

import (
	"errors"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/money"
)

var operations = []struct {
	name  string
	do    func(a, b int64) (int64, error)
	exact func(z, a, b *big.Int) *big.Int
}{
	{"Add", money.Add, (*big.Int).Add},
	{"Sub", money.Sub, (*big.Int).Sub},
	{"Mul", money.Mul, (*big.Int).Mul},
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for currency, want := range map[string]int{"NOK": 2, "JPY": 0, "KWD": 3, "CLF": 4, "XXX": 2} {
		if got := money.Digits(currency); got != want {
			t.Errorf("amounts of %s have %d decimals, want %d", currency, got, want)
		}
	}
}

func TestArithmeticIsExactOrRefused(t *testing.T) {
	// Plain int64s find the wrapped results, small ones the exact results, and
	// the edges what lies between.
	operand := rapid.OneOf(
		rapid.Int64(),
		rapid.Int64Range(-1<<27, 1<<27),
		rapid.SampledFrom([]int64{0, 1, -1, money.Max, -money.Max, money.Max + 1, -money.Max - 1, math.MaxInt64, math.MinInt64}),
	)
	for _, op := range operations {
		t.Run(op.name, rapid.MakeCheck(func(t *rapid.T) {
			a, b := operand.Draw(t, "a"), operand.Draw(t, "b")
			want := op.exact(new(big.Int), big.NewInt(a), big.NewInt(b))
			representable := inBounds(big.NewInt(a)) && inBounds(big.NewInt(b)) && inBounds(want)

			got, err := op.do(a, b)
			switch {
			case representable && (err != nil || got != want.Int64()):
				t.Fatalf("%s(%d, %d) = %d, %v, want %s", op.name, a, b, got, err, want)
			case !representable && !errors.Is(err, money.ErrOverflow):
				t.Fatalf("%s(%d, %d) = %d, %v, want ErrOverflow", op.name, a, b, got, err)
			}
		}))
	}
}

func TestSaturatedSumsStayWithinTheBounds(t *testing.T) {
	for _, test := range []struct{ a, b, want int64 }{
		{2, -3, -1},
		{money.Max, 1, money.Max},
		{-money.Max, -1, -money.Max},
		{math.MaxInt64, math.MaxInt64, money.Max},
		{math.MinInt64, math.MinInt64, -money.Max},
		{math.MaxInt64, -1, money.Max - 1},
	} {
		if got := money.AddSaturating(test.a, test.b); got != test.want {
			t.Errorf("AddSaturating(%d, %d) = %d, want %d", test.a, test.b, got, test.want)
		}
	}
}

func inBounds(n *big.Int) bool { return n.CmpAbs(big.NewInt(money.Max)) <= 0 }

func TestIsCurrency(t *testing.T) {
	for _, code := range []string{"GBP", "EUR", "JPY", "XTS"} {
		if !money.IsCurrency(code) {
			t.Errorf("IsCurrency(%q) = false, want true", code)
		}
	}
	for _, code := range []string{"", "gbp", "GB", "GBPS", "G P", "£££", "ГБП", "GB\x00", "É1"} {
		if money.IsCurrency(code) {
			t.Errorf("IsCurrency(%q) = true, want false", code)
		}
	}
}
