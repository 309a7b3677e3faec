package account

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/57528e99/recount/domain/goods"
)

// MaxEntries bounds the entries of a transaction.
const MaxEntries = 100

// ErrAlreadyPosted is returned by Post for a transaction that exists.
var ErrAlreadyPosted = errors.New("transaction was posted already: use another id for another transaction")

// Transaction is the state that decisions are made from. The zero value is a
// transaction that was never posted.
type Transaction struct {
	ID string `json:"id"`
}

// Event is something that happened to a transaction.
type Event interface {
	// Evolve returns the transaction as it is after the event.
	Evolve(Transaction) Transaction
}

// Entry is what a transaction adds to one account.
type Entry struct {
	// Account is the account's id.
	Account string `json:"account"`
	// AmountMinor is in minor units of the currency, a debit if it is positive, a
	// credit if it is negative. It is not zero, and within ±goods.MaxTotalMinor.
	AmountMinor int64 `json:"amount_minor"`
}

// Post moves money between accounts.
type Post struct {
	ID string
	// Currency is an ISO 4217 code; the amounts are in it.
	Currency string
	// Entries are from 2 to MaxEntries, one for an account. They add up to zero.
	Entries []Entry
	// Reason says why, in words for people.
	Reason string
	// At is when the money moved.
	At time.Time
}

// CreatesStream implements commands.Creator.
func (Post) CreatesStream() {}

// Decide agrees if the transaction is new, and its entries add up to zero.
func (c Post) Decide(t Transaction) ([]Event, error) {
	at, err := c.check()
	if err != nil {
		return nil, err
	}
	if t.ID != "" {
		return nil, ErrAlreadyPosted
	}
	return []Event{Posted{
		ID:       c.ID,
		Currency: c.Currency,
		// The caller may use its slice again.
		Entries: slices.Clone(c.Entries),
		Reason:  c.Reason,
		At:      at,
	}}, nil
}

func (c Post) check() (time.Time, error) {
	at, err := goods.BusinessTime("/at", c.At)
	return at, cmp.Or(
		goods.CheckID("/id", c.ID),
		goods.CheckCurrency("/currency", c.Currency),
		checkEntries(c.Entries),
		goods.CheckReason("/reason", c.Reason),
		err,
	)
}

func checkEntries(entries []Entry) error {
	if len(entries) < 2 || len(entries) > MaxEntries {
		return &goods.InvalidError{Field: "/entries", Reason: fmt.Sprintf("must have from 2 to %d entries, there are %d", MaxEntries, len(entries))}
	}
	var sum int64 // of at most MaxEntries × goods.MaxTotalMinor
	seen := make(map[string]bool, len(entries))
	for i, e := range entries {
		field := fmt.Sprintf("/entries/%d", i)
		if err := cmp.Or(goods.CheckID(field+"/account", e.Account), checkAmount(field+"/amount_minor", e.AmountMinor)); err != nil {
			return err
		}
		if seen[e.Account] {
			return &goods.InvalidError{Field: field + "/account", Reason: "must be another account than those before: add the amounts up"}
		}
		seen[e.Account] = true
		sum += e.AmountMinor
	}
	if sum != 0 {
		return &goods.InvalidError{Field: "/entries", Reason: fmt.Sprintf("must add up to zero, they come to %d", sum)}
	}
	return nil
}

func checkAmount(field string, minor int64) error {
	if minor == 0 || minor < -goods.MaxTotalMinor || minor > goods.MaxTotalMinor {
		return &goods.InvalidError{
			Field:  field,
			Reason: fmt.Sprintf("must be within ±%d minor units and not zero, it is %d", int64(goods.MaxTotalMinor), minor),
		}
	}
	return nil
}

// Posted says that money has moved between accounts.
type Posted struct {
	ID       string    `json:"id"`
	Currency string    `json:"currency"`
	Entries  []Entry   `json:"entries"`
	Reason   string    `json:"reason"`
	At       time.Time `json:"at"`
}

// Evolve makes the transaction a posted one.
func (e Posted) Evolve(Transaction) Transaction { return Transaction{ID: e.ID} }
