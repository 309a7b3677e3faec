package pattern_test

import (
	"fmt"

	"github.com/57528e99/recount/delivery/pattern"
)

func ExampleMatcher() {
	big, err := pattern.Compile([]byte(`{"type":["OrderPlaced"],"data":{"total_minor":[{"numeric":[">=",100000]}]}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	var m pattern.Matcher[string]
	m.Add("big-orders", big)

	e := pattern.Event{Stream: "order-1", Category: "order", Type: "OrderPlaced", Data: []byte(`{"total_minor":250000}`)}
	fmt.Println(m.Match(&e, nil), big.Types())
	e.Data = []byte(`{"total_minor":900}`)
	fmt.Println(m.Match(&e, nil))
	why := big.Explain(&e).Clause
	fmt.Printf("%s: wanted %s, found %s\n", why.Pointer, why.Wanted, why.Found)

	_, err = pattern.Compile([]byte(`{"data":{"total_minor":[{"numeric":[">=","100000"]}]}}`))
	fmt.Println(err)
	// Output:
	// [big-orders] [OrderPlaced]
	// []
	// /data/total_minor: wanted [{"numeric":[">=",100000]}], found 900
	// /data/total_minor/0/numeric/1: >= is followed by a number, not a string: write ["=",5], [">",0] or [">=",0,"<",100]
}
