package goods_test

import (
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/goods"
	"github.com/57528e99/recount/domain/money"
)

func TestCheckLines(t *testing.T) {
	good := goods.Line{SKU: "MUG-1A", Quantity: 6, UnitPriceMinor: 240}
	with := func(change func(*goods.Line)) []goods.Line {
		bad := good
		change(&bad)
		return []goods.Line{good, bad}
	}
	tests := []struct {
		name  string
		lines []goods.Line
		field string // "" accepts
	}{
		{"an article twice", []goods.Line{good, good}, ""},
		{"a price of zero", with(func(l *goods.Line) { l.UnitPriceMinor = 0 }), ""},
		{"a description of any printable text", with(func(l *goods.Line) { l.Description = " SET/3 <TINS> £20 " }), ""},
		{"as many lines as may be", repeat(good, goods.MaxLines), ""},
		{"no lines", nil, "/lines"},
		{"too many lines", repeat(good, goods.MaxLines+1), "/lines"},
		{"too much text in all", repeat(goods.Line{SKU: "A", Description: strings.Repeat("x", goods.MaxDescriptionBytes), Quantity: 1}, 300), "/lines"},
		{"no article", with(func(l *goods.Line) { l.SKU = "" }), "/lines/1/sku"},
		{"a long description", with(func(l *goods.Line) { l.Description = strings.Repeat("x", goods.MaxDescriptionBytes+1) }), "/lines/1/description"},
		{"NUL in the description", with(func(l *goods.Line) { l.Description = "a\x00" }), "/lines/1/description"},
		{"bytes that are no UTF-8", with(func(l *goods.Line) { l.Description = "\xc3(" }), "/lines/1/description"},
		{"no quantity", with(func(l *goods.Line) { l.Quantity = 0 }), "/lines/1/quantity"},
		{"a negative price", with(func(l *goods.Line) { l.UnitPriceMinor = -1 }), "/lines/1/unit_price_minor"},
		{"a huge price", with(func(l *goods.Line) { l.UnitPriceMinor = goods.MaxTotalMinor + 1 }), "/lines/1/unit_price_minor"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := goods.CheckLines(test.lines)
			switch {
			case test.field != "":
				expectInvalid(t, "CheckLines", err, test.field)
			case err != nil:
				t.Errorf("CheckLines = %v, want none", err)
			}
		})
	}
}

func TestTotalNamesTheLineThatIsTooMuch(t *testing.T) {
	most := goods.Line{SKU: "A", Quantity: 1, UnitPriceMinor: goods.MaxTotalMinor}
	if total, err := goods.Total([]goods.Line{most}); err != nil || total != goods.MaxTotalMinor {
		t.Errorf("Total = %d, %v, want %d", total, err, int64(goods.MaxTotalMinor))
	}
	_, err := goods.Total([]goods.Line{most, {SKU: "B", Quantity: 1, UnitPriceMinor: 1}})
	expectInvalid(t, "Total of a sum too large", err, "/lines/1")
	_, err = goods.Total([]goods.Line{{SKU: "A", Quantity: goods.MaxQuantity, UnitPriceMinor: goods.MaxTotalMinor}})
	expectInvalid(t, "Total of a product too large", err, "/lines/0")
}

func TestPerSKUSplitsTheTotal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(anyLine(), 1, 20).Draw(t, "lines")
		total, err := goods.Total(lines)
		if err != nil {
			t.Fatalf("Total(%v) = %v", lines, err)
		}

		var amount, quantity int64
		seen := map[string]bool{}
		for sku, sum := range goods.PerSKU(lines) {
			if seen[sku] {
				t.Fatalf("PerSKU(%v) yields %q twice", lines, sku)
			}
			seen[sku] = true
			amount += sum.AmountMinor
			quantity += sum.Quantity
		}
		for _, l := range lines {
			quantity -= l.Quantity
			if !seen[l.SKU] {
				t.Fatalf("PerSKU(%v) lacks %q", lines, l.SKU)
			}
		}
		if amount != total || quantity != 0 {
			t.Fatalf("PerSKU(%v) sums to %d and is %d units off, want %d and 0", lines, amount, quantity, total)
		}
	})
}

func TestPerSKUKeepsCaseAndFirstAppearance(t *testing.T) {
	var skus []string
	for sku := range goods.PerSKU([]goods.Line{{SKU: "b"}, {SKU: "a"}, {SKU: "B"}, {SKU: "b"}, {SKU: "c"}}) {
		if sku == "c" {
			break
		}
		skus = append(skus, sku)
	}
	if got := strings.Join(skus, " "); got != "b a B" {
		t.Errorf("PerSKU yields %s, want b a B", got)
	}
}

func TestPerSKUNeverWrapsAround(t *testing.T) {
	lines := repeat(goods.Line{SKU: "A", Quantity: money.Max, UnitPriceMinor: money.Max}, 3)
	for sku, sum := range goods.PerSKU(lines) {
		if sum != (goods.Sum{Quantity: math.MaxInt64, AmountMinor: math.MaxInt64}) {
			t.Errorf("PerSKU yields %s: %+v, want math.MaxInt64 twice", sku, sum)
		}
	}
}

func anyLine() *rapid.Generator[goods.Line] {
	return rapid.Custom(func(t *rapid.T) goods.Line {
		return goods.Line{
			SKU:            rapid.SampledFrom([]string{"A", "a", "B", "GIFT WRAP"}).Draw(t, "sku"),
			Quantity:       rapid.Int64Range(1, 100_000).Draw(t, "quantity"),
			UnitPriceMinor: rapid.Int64Range(0, 100_000).Draw(t, "price"),
		}
	})
}

func repeat(l goods.Line, n int) []goods.Line {
	lines := make([]goods.Line, n)
	for i := range lines {
		lines[i] = l
	}
	return lines
}
