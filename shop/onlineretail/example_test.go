package onlineretail_test

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/57528e99/recount/shop/onlineretail"
)

func ExampleRead() {
	book, err := onlineretail.Read(strings.NewReader(`InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
70001,1001A,BLUE MUG,6,2024-03-01T08:26:00Z,2.5,501,Norway
70001,LAMP 2,DESK LAMP,1,2024-03-01T08:26:00Z,13.05,501,Norway
70002,1001A,broken,-2,2024-03-02T09:00:00Z,0,,Norway
C70003,1001A,BLUE MUG,-1,2024-03-04T11:15:00Z,2.5,501,Norway
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	totals := book.Totals()
	fmt.Println("orders:", totals.Orders, "returns:", totals.Returns, "adjustments:", totals.Adjustments)
	fmt.Println("gross:", totals.GrossMinor, "refunds:", totals.RefundsMinor, "net:", totals.NetMinor())

	_, err = onlineretail.Read(strings.NewReader("InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n" +
		"70001,1001A,BLUE MUG,6,2024-03-01T08:26:00Z,2.555,501,Norway\n"))
	fmt.Println(err)
	// Output:
	// orders: 1 returns: 1 adjustments: 1
	// gross: 2805 refunds: 250 net: 2555
	// line 2: UnitPrice "2.555" must be pounds with at most two decimals, e.g. 2.55
}

func ExampleImport() {
	file, err := os.Open("online-retail.csv.gz")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer file.Close()
	book, err := onlineretail.Read(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	config := onlineretail.Config{
		Server: "http://127.0.0.1:8080",
		Progress: func(r onlineretail.Report) {
			fmt.Printf("%d of %d commands, %.0f/s\n", r.Done, r.Total, r.Rate())
		},
	}
	report, err := onlineretail.Import(ctx, config, book)
	if err != nil {
		fmt.Println(err)
		return
	}
	differences, err := onlineretail.Verify(ctx, config, book, report.Token)
	fmt.Println(differences, err)
}
