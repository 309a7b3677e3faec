package money

import (
	"errors"
	"fmt"
)

// Max is the largest amount, in minor units; -Max is the smallest. It is the
// largest integer up to which a double holds every integer.
const Max = 1<<53 - 1

// ErrOverflow is returned for a result, or an operand, outside ±Max.
var ErrOverflow = errors.New("amount is outside ±9007199254740991 minor units")

// Add returns a + b. Outside ±Max it is ErrOverflow.
func Add(a, b int64) (int64, error) {
	if !inBounds(a) || !inBounds(b) || !inBounds(a+b) {
		return 0, fmt.Errorf("%d + %d: %w", a, b, ErrOverflow)
	}
	return a + b, nil
}

// Sub returns a - b. Outside ±Max it is ErrOverflow.
func Sub(a, b int64) (int64, error) {
	if !inBounds(a) || !inBounds(b) || !inBounds(a-b) {
		return 0, fmt.Errorf("%d - %d: %w", a, b, ErrOverflow)
	}
	return a - b, nil
}

// Mul returns a × b, e.g. a quantity times a price. Outside ±Max it is
// ErrOverflow.
func Mul(a, b int64) (int64, error) {
	// Dividing the bound keeps the check itself from overflowing.
	if !inBounds(a) || !inBounds(b) || a != 0 && abs(b) > Max/abs(a) {
		return 0, fmt.Errorf("%d × %d: %w", a, b, ErrOverflow)
	}
	return a * b, nil
}

// AddSaturating returns a + b, or the bound ±Max that it would cross, and takes
// operands outside the bounds for the nearer bound. It is for folding what a log
// has: that was not always decided here, and cannot be refused any more.
func AddSaturating(a, b int64) int64 { return saturate(saturate(a) + saturate(b)) }

// IsCurrency says whether code has the form of an ISO 4217 code: three
// upper-case ASCII letters. Only the form is checked, for the list of currencies
// changes more often than a shop is deployed, and an old order keeps its
// currency for ever.
func IsCurrency(code string) bool {
	if len(code) != 3 {
		return false
	}
	for _, r := range code {
		if r < 'A' || r > 'Z' {
			return false
		}
	}
	return true
}

func inBounds(n int64) bool { return -Max <= n && n <= Max }

func saturate(n int64) int64 { return min(max(n, -Max), Max) }

func abs(n int64) int64 { return max(n, -n) }
