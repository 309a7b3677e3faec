package goods_test

import (
	"fmt"

	"github.com/57528e99/recount/domain/goods"
)

func Example() {
	lines := []goods.Line{
		{SKU: "85123A", Description: "heart holder", Quantity: 6, UnitPriceMinor: 255},
		{SKU: "71053", Description: "metal lantern", Quantity: 2, UnitPriceMinor: 339},
		{SKU: "85123A", Description: "heart holder", Quantity: 1, UnitPriceMinor: 0},
	}
	total, err := goods.Total(lines)
	fmt.Println(total, err)
	for sku, sum := range goods.PerSKU(lines) {
		fmt.Println(sku, sum.Quantity, sum.AmountMinor)
	}

	lines[1].Quantity = 0
	fmt.Println(goods.CheckLines(lines))
	// Output:
	// 2208 <nil>
	// 85123A 7 1530
	// 71053 2 678
	// invalid input: /lines/1/quantity must be from 1 to 1000000000, it is 0
}
