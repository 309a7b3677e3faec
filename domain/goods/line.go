package goods

import (
	"fmt"
	"iter"
	"math"

	"github.com/57528e99/recount/domain/money"
)

// Line is one line of an order or a return. An article may stand in several
// lines.
type Line struct {
	// SKU is the article's code.
	SKU         string `json:"sku"`
	Description string `json:"description"`
	// Quantity counts units, from 1.
	Quantity int64 `json:"quantity"`
	// UnitPriceMinor is the price of one unit in minor units of the currency,
	// from 0 to MaxTotalMinor.
	UnitPriceMinor int64 `json:"unit_price_minor"`
}

// CheckLines checks the lines of an order or a return, whose field is /lines,
// except for their Total.
func CheckLines(lines []Line) error {
	if len(lines) < 1 || len(lines) > MaxLines {
		return invalid("/lines", fmt.Sprintf("must have from 1 to %d lines, there are %d", MaxLines, len(lines)))
	}
	bytes := 0
	for i, l := range lines {
		if err := l.check(fmt.Sprintf("/lines/%d", i)); err != nil {
			return err
		}
		bytes += len(l.SKU) + len(l.Description)
	}
	if bytes > MaxLinesBytes {
		return invalid("/lines", fmt.Sprintf("must have at most %d bytes of article codes and descriptions together, they have %d: shorten the descriptions", MaxLinesBytes, bytes))
	}
	return nil
}

func (l Line) check(field string) error {
	if err := CheckSKU(field+"/sku", l.SKU); err != nil {
		return err
	}
	if err := checkText(field+"/description", l.Description, 0, MaxDescriptionBytes); err != nil {
		return err
	}
	if err := CheckQuantity(field+"/quantity", l.Quantity); err != nil {
		return err
	}
	if l.UnitPriceMinor < 0 || l.UnitPriceMinor > MaxTotalMinor {
		return invalid(field+"/unit_price_minor", fmt.Sprintf("must be from 0 to %d, it is %d", int64(MaxTotalMinor), l.UnitPriceMinor))
	}
	return nil
}

// Total returns what the lines amount to, in minor units. If that is more than
// MaxTotalMinor it returns an *InvalidError for the line that made it so.
func Total(lines []Line) (int64, error) {
	var total int64
	for i, l := range lines {
		sum, err := l.addTo(total)
		if err != nil || sum > MaxTotalMinor {
			return 0, invalid(fmt.Sprintf("/lines/%d", i),
				fmt.Sprintf("must leave the total within %d minor units: use smaller quantities or prices", int64(MaxTotalMinor)))
		}
		total = sum
	}
	return total, nil
}

// addTo returns amount plus what the line amounts to.
func (l Line) addTo(amount int64) (int64, error) {
	own, err := money.Mul(l.Quantity, l.UnitPriceMinor)
	if err != nil {
		return 0, err
	}
	return money.Add(amount, own)
}

// Sum is what several lines of one article add up to.
type Sum struct {
	Quantity    int64
	AmountMinor int64
}

// PerSKU yields every article of the lines once, in the order in which they
// first appear, with its quantities and amounts summed. The sums of lines that
// passed CheckLines and Total are exact. Of others, a sum that leaves the bounds
// of package money is math.MaxInt64, which every addition of that package
// refuses.
func PerSKU(lines []Line) iter.Seq2[string, Sum] {
	return func(yield func(string, Sum) bool) {
		sums := make(map[string]Sum, len(lines))
		var skus []string
		for _, l := range lines {
			sum, seen := sums[l.SKU]
			if !seen {
				skus = append(skus, l.SKU)
			}
			sums[l.SKU] = Sum{
				Quantity:    orMaxInt64(money.Add(sum.Quantity, l.Quantity)),
				AmountMinor: orMaxInt64(l.addTo(sum.AmountMinor)),
			}
		}
		for _, sku := range skus {
			if !yield(sku, sums[sku]) {
				return
			}
		}
	}
}

func orMaxInt64(n int64, err error) int64 {
	if err != nil {
		return math.MaxInt64
	}
	return n
}
