package goods

import (
	"fmt"
	"net/mail"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/57528e99/recount/domain/money"
)

// CheckID checks the id of an order, a customer and the like: ASCII letters,
// digits and . _ : ~ - only, which a URL, a stream name and a log line all take
// as they are. "." and ".." are refused, for URLs give them a meaning.
func CheckID(field, id string) error {
	if err := checkLength(field, id, 1, MaxIDBytes); err != nil {
		return err
	}
	if isDots(id) {
		return invalid(field, "must not be . or .., which URLs take for a place")
	}
	for _, r := range id {
		if !isIDRune(r) {
			return invalid(field, fmt.Sprintf("must have letters a-z and A-Z, digits and . _ : ~ - only, it has %q", r))
		}
	}
	return nil
}

// CheckCustomerID checks the id of a customer, which is nil for a guest.
func CheckCustomerID(field string, id *string) error {
	if id == nil {
		return nil
	}
	if *id == "" {
		return invalid(field, "must be an id, or null for a guest")
	}
	return CheckID(field, *id)
}

// CheckEmail checks the address that mails to a customer go to, which is nil if there is none: name@domain and no more, so that nobody
// can put a second address into it, or a name that misleads.
func CheckEmail(field string, address *string) error {
	if address == nil {
		return nil
	}
	if err := checkText(field, *address, 1, MaxEmailBytes); err != nil {
		return err
	}
	if parsed, err := mail.ParseAddress(*address); err != nil || parsed.Name != "" || parsed.Address != *address {
		return invalid(field, "must be an address such as ann@example.com, or null")
	}
	return nil
}

// CheckSKU checks an article code: printable Unicode, in which the only space is
// the ASCII one, and that neither first nor last. It is compared byte by byte.
//
// Slashes and backslashes are refused, because they do not get through every
// proxy in the path of a URL, not even percent-encoded.
func CheckSKU(field, sku string) error {
	if err := checkLength(field, sku, 1, MaxSKUBytes); err != nil {
		return err
	}
	if isDots(sku) {
		return invalid(field, "must not be . or .., which URLs take for a place")
	}
	if sku[0] == ' ' || sku[len(sku)-1] == ' ' {
		return invalid(field, "must not begin or end with a space")
	}
	for _, r := range sku {
		// RuneError stands for bytes that were lost on the way: two different
		// codes could have become this one.
		if r == utf8.RuneError {
			return invalid(field, "must be valid UTF-8 without the replacement character U+FFFD")
		}
		if r == '/' || r == '\\' || !unicode.IsPrint(r) {
			return invalid(field, fmt.Sprintf("must have printable characters other than / and \\ only, it has %U", r))
		}
	}
	return nil
}

// CheckKey checks an idempotency key: printable ASCII without spaces, which headers of HTTP take as it is.
func CheckKey(field, key string) error {
	if err := checkLength(field, key, 1, MaxKeyBytes); err != nil {
		return err
	}
	for _, r := range key {
		if r <= ' ' || r > '~' {
			return invalid(field, fmt.Sprintf("must have printable ASCII characters other than spaces only, it has %q", r))
		}
	}
	return nil
}

// CheckAmount checks an amount of money that is moved: 1 to MaxTotalMinor.
func CheckAmount(field string, minor int64) error {
	if minor < 1 || minor > MaxTotalMinor {
		return invalid(field, fmt.Sprintf("must be from 1 to %d minor units, it is %d", int64(MaxTotalMinor), minor))
	}
	return nil
}

// CheckQuantity checks a number of units: 1 to MaxQuantity.
func CheckQuantity(field string, quantity int64) error {
	if quantity < 1 || quantity > MaxQuantity {
		return invalid(field, fmt.Sprintf("must be from 1 to %d, it is %d", MaxQuantity, quantity))
	}
	return nil
}

// CheckCountry checks the name of a country. It is free text, since shops write
// "EIRE" and "Channel Islands", but a stray space would make it another one.
func CheckCountry(field, country string) error {
	if err := checkText(field, country, 1, MaxCountryBytes); err != nil {
		return err
	}
	if strings.TrimSpace(country) != country {
		return invalid(field, "must not begin or end with a space")
	}
	return nil
}

// CheckCurrency checks the form of a currency code, see money.IsCurrency.
func CheckCurrency(field, code string) error {
	if !money.IsCurrency(code) {
		return invalid(field, "must be an ISO 4217 code of three upper-case letters, e.g. GBP")
	}
	return nil
}

// CheckReason checks why something was done, in the words of who did it.
func CheckReason(field, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return invalid(field, "must say why, it is empty")
	}
	return checkText(field, reason, 1, MaxReasonBytes)
}

// BusinessTime checks when something happened in the shop and returns it as
// events carry it: in UTC and cut to microseconds, which is all that PostgreSQL
// keeps; a row read back must equal the fold that wrote it. Years are 1 to 9999,
// since RFC 3339 writes them in four digits.
func BusinessTime(field string, at time.Time) (time.Time, error) {
	at = at.UTC().Truncate(time.Microsecond)
	if at.IsZero() {
		return time.Time{}, invalid(field, "must be set to the time at which it happened")
	}
	if at.Year() < 1 || at.Year() > 9999 {
		return time.Time{}, invalid(field, fmt.Sprintf("must be in the years 1 to 9999 UTC, it is in %d", at.Year()))
	}
	return at, nil
}

// checkText keeps out what a column of type text or a log line would choke on.
func checkText(field, text string, minBytes, maxBytes int) error {
	if err := checkLength(field, text, minBytes, maxBytes); err != nil {
		return err
	}
	if !utf8.ValidString(text) {
		return invalid(field, "must be valid UTF-8")
	}
	for _, r := range text {
		if unicode.IsControl(r) {
			return invalid(field, fmt.Sprintf("must not have control characters, it has %U", r))
		}
	}
	return nil
}

func checkLength(field, text string, minBytes, maxBytes int) error {
	if len(text) < minBytes {
		return invalid(field, "must not be empty")
	}
	if len(text) > maxBytes {
		return invalid(field, fmt.Sprintf("must have at most %d bytes, it has %d", maxBytes, len(text)))
	}
	return nil
}

func isDots(s string) bool { return s == "." || s == ".." }

func isIDRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._:~-", r)
}
