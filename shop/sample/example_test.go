package sample_test

import (
	"fmt"
	"os"

	"github.com/57528e99/recount/shop/sample"
)

func ExampleGenerate() {
	if err := sample.Generate(os.Stdout, sample.Config{Seed: 7, Orders: 2, MaxLines: 3}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
	// 700001,20685,SLATE CERAMIC STOOL,3,2024-03-01T08:00:00Z,5.93,30000,United Kingdom
	// 700002,20286F,TEAL LINEN OVEN GLOVE,12,2024-03-16T08:00:00Z,1.17,30000,United Kingdom
}
