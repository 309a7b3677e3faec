package goods_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

func TestTextIsTakenAsItIsOrRefused(t *testing.T) {
	checks := []struct {
		name     string
		check    func(field, text string) error
		accepted []string
		refused  []string
	}{
		{
			"CheckID", goods.CheckID,
			[]string{"42", "r-9", "a.b_c:d~e-f", "...", "-", strings.Repeat("x", goods.MaxIDBytes)},
			[]string{"", ".", "..", "$all", "a b", "a/b", "a\\b", "a%2Fb", "é", "a\x00", "\xff", "\uFFFD", strings.Repeat("x", goods.MaxIDBytes+1)},
		},
		{
			"CheckKey", goods.CheckKey,
			[]string{"checkout-42/7", "!~", strings.Repeat("x", goods.MaxKeyBytes)},
			[]string{"", "a b", "a\x00", "a\x7f", "é", "\xff", strings.Repeat("x", goods.MaxKeyBytes+1)},
		},
		{
			"CheckSKU", goods.CheckSKU,
			[]string{"MUG-1A", "MUG-1a", "GIFT WRAP", "card_40", "$5 OFF", "a%2Fb", "Tasse-grün", "茶", strings.Repeat("x", goods.MaxSKUBytes)},
			[]string{"", ".", "..", " A", "A ", " ", "a/b", `a\b`, "a\x00", "a\tb", "a\u00a0b", "a\u200bb", "a\u202eb", "\xff", "a\uFFFD", strings.Repeat("x", goods.MaxSKUBytes+1)},
		},
		{
			"CheckCountry", goods.CheckCountry,
			[]string{"United Kingdom", "EIRE", "Côte d'Ivoire", strings.Repeat("x", goods.MaxCountryBytes)},
			[]string{"", " ", " EIRE", "EIRE\u00a0", "EI\x00RE", "EI\x85RE", "EI\u0085RE", "\xff", strings.Repeat("x", goods.MaxCountryBytes+1)},
		},
		{
			"CheckCurrency", goods.CheckCurrency,
			[]string{"GBP"},
			[]string{"", "gbp", "POUND"},
		},
		{
			"CheckReason", goods.CheckReason,
			[]string{"damaged", " 3 broken, 1 lost ", strings.Repeat("x", goods.MaxReasonBytes)},
			[]string{"", "  ", "a\nb", "a\x00", "\xff", strings.Repeat("x", goods.MaxReasonBytes+1)},
		},
		{
			"CheckCustomerID", func(field, id string) error { return goods.CheckCustomerID(field, &id) },
			[]string{"c-7"},
			[]string{"", "a b"},
		},
	}
	for _, c := range checks {
		for _, text := range c.accepted {
			if err := c.check("/field", text); err != nil {
				t.Errorf("%s(%q) = %v, want none", c.name, text, err)
			}
		}
		for _, text := range c.refused {
			expectInvalid(t, fmt.Sprintf("%s(%q)", c.name, text), c.check("/field", text), "/field")
		}
	}
}

func TestGuestHasNoCustomerID(t *testing.T) {
	if err := goods.CheckCustomerID("/customer_id", nil); err != nil {
		t.Errorf("CheckCustomerID(nil) = %v, want none", err)
	}
}

func TestCheckQuantity(t *testing.T) {
	for _, q := range []int64{1, goods.MaxQuantity} {
		if err := goods.CheckQuantity("/quantity", q); err != nil {
			t.Errorf("CheckQuantity(%d) = %v, want none", q, err)
		}
	}
	for _, q := range []int64{-1, 0, goods.MaxQuantity + 1} {
		expectInvalid(t, fmt.Sprintf("CheckQuantity(%d)", q), goods.CheckQuantity("/quantity", q), "/quantity")
	}
}

func TestCheckAmount(t *testing.T) {
	for _, minor := range []int64{1, goods.MaxTotalMinor} {
		if err := goods.CheckAmount("/amount_minor", minor); err != nil {
			t.Errorf("CheckAmount(%d) = %v, want none", minor, err)
		}
	}
	for _, minor := range []int64{-1, 0, goods.MaxTotalMinor + 1} {
		expectInvalid(t, fmt.Sprintf("CheckAmount(%d)", minor), goods.CheckAmount("/amount_minor", minor), "/amount_minor")
	}
}

func TestBusinessTimeIsUTCInMicroseconds(t *testing.T) {
	given := time.Date(2026, 3, 1, 11, 30, 0, 123_456_789, time.FixedZone("CET", 3600))
	want := time.Date(2026, 3, 1, 10, 30, 0, 123_456_000, time.UTC)
	// Compared with == on purpose: events of equal content must be equal.
	if got, err := goods.BusinessTime("/at", given); err != nil || got != want {
		t.Errorf("BusinessTime(%v) = %v, %v, want %v", given, got, err, want)
	}
}

func TestBusinessTimeMustBeWritable(t *testing.T) {
	west, east := time.FixedZone("west", -3600), time.FixedZone("east", 3600)
	for _, at := range []time.Time{
		{},
		time.Time{}.Add(time.Nanosecond), // nothing is left of it in microseconds
		time.Date(1, 1, 1, 0, 30, 0, 0, east),
		time.Date(9999, 12, 31, 23, 30, 0, 0, west),
	} {
		_, err := goods.BusinessTime("/at", at)
		expectInvalid(t, fmt.Sprintf("BusinessTime(%v)", at), err, "/at")
	}
}

// expectInvalid wants an *InvalidError for the field, with a reason.
func expectInvalid(t *testing.T, call string, err error, field string) {
	t.Helper()
	var invalid *goods.InvalidError
	if !errors.As(err, &invalid) || !errors.Is(err, goods.ErrInvalid) {
		t.Errorf("%s = %v, want an *InvalidError", call, err)
		return
	}
	if invalid.Field != field || !strings.HasPrefix(invalid.Reason, "must ") {
		t.Errorf("%s = %v, want field %s and a reason that begins with must", call, err, field)
	}
}
