// Make-orders writes made-up invoices, in the format of Online Retail, to stdout.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/57528e99/recount/shop/sample"
)

func main() {
	var c sample.Config
	flag.IntVar(&c.Orders, "orders", 500, "how many orders")
	flag.Parse()
	if err := sample.Generate(os.Stdout, c); err != nil {
		fmt.Fprintln(os.Stderr, "make-orders:", err)
		os.Exit(1)
	}
}
