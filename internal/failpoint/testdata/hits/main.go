// Hits hits a point ten times and counts aloud.
package main

import (
	"context"
	"fmt"

	"github.com/57528e99/recount/internal/failpoint"
)

func main() {
	failpoint.HitIn(context.Background(), failpoint.TxLocked)
	if err := failpoint.FailIn(failpoint.About(context.Background(), "42"), failpoint.TxLocked); err != nil {
		fmt.Println(err)
	}
	for i := range 10 {
		if err := failpoint.Fail(failpoint.NotifySend); err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(i + 1)
	}
}
