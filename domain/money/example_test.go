package money_test

import (
	"errors"
	"fmt"

	"github.com/57528e99/recount/domain/money"
)

func Example() {
	line, _ := money.Mul(6, 240) // six mugs at £2.40
	total, _ := money.Add(line, 305)
	fmt.Println(total)

	_, err := money.Add(money.Max, 1)
	fmt.Println(errors.Is(err, money.ErrOverflow))
	// Output:
	// 1745
	// true
}
