package money

import (
	"errors"
	"fmt"
)

// Max is the largest amount, in minor units; -Max is the smallest. It is the
// largest integer up to which a double holds every integer.
const Max = 1<<53 - 1

var (
	// ErrOverflow is returned for a result, or an operand, outside ±Max.
	ErrOverflow = errors.New("amount is outside ±9007199254740991 minor units")
	// ErrCurrency is returned for text that is no currency code.
	ErrCurrency = errors.New("currency must be an ISO 4217 code of three upper-case letters, e.g. GBP")
)

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

// CheckCurrency returns ErrCurrency if code is not three upper-case ASCII
// letters. It checks the form only: the list of ISO 4217 changes more often
// than a shop is deployed, and an old order keeps its currency for ever.
func CheckCurrency(code string) error {
	if len(code) != 3 {
		return ErrCurrency
	}
	for _, r := range code {
		if r < 'A' || r > 'Z' {
			return ErrCurrency
		}
	}
	return nil
}

func inBounds(n int64) bool { return -Max <= n && n <= Max }

func abs(n int64) int64 { return max(n, -n) }
