package goods_test

import (
	"fmt"

	"github.com/57528e99/recount/domain/goods"
)

func Example() {
	lines := []goods.Line{
		{SKU: "MUG-1A", Description: "blue mug", Quantity: 6, UnitPriceMinor: 240},
		{SKU: "LAMP 2", Description: "desk lamp", Quantity: 2, UnitPriceMinor: 305},
		{SKU: "MUG-1A", Description: "blue mug", Quantity: 1, UnitPriceMinor: 0},
	}
	total, err := goods.Total(lines)
	fmt.Println(total, err)
	for sku, sum := range goods.PerSKU(lines) {
		fmt.Println(sku, sum.Quantity, sum.AmountMinor)
	}

	lines[1].Quantity = 0
	fmt.Println(goods.CheckLines(lines))
	// Output:
	// 2050 <nil>
	// MUG-1A 7 1440
	// LAMP 2 2 610
	// invalid input: /lines/1/quantity must be from 1 to 1000000000, it is 0
}
