package money_test

import (
	"errors"
	"fmt"

	"github.com/57528e99/recount/domain/money"
)

func Example() {
	line, _ := money.Mul(6, 255) // six hearts at £2.55
	total, _ := money.Add(line, 339)
	fmt.Println(total)

	_, err := money.Add(money.Max, 1)
	fmt.Println(errors.Is(err, money.ErrOverflow))
	// Output:
	// 1869
	// true
}
