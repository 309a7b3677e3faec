package accounts

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Account is the state that commands on an account decide from: what its events make of it.
type Account struct {
	// Owner is empty as long as the account has not been opened.
	Owner    string
	Currency string
	// Balance is in minor units, such as cents.
	Balance int64
	// SettledThrough is the last month that interest was paid for, as 2006-01.
	SettledThrough string
}

// Event is an event of an account.
type Event interface{ Evolve(Account) Account }

// What happens to an account. Amounts are in minor units of its currency.
type (
	// Opened is the first event of every account.
	Opened struct {
		Owner    string    `json:"owner"`
		Currency string    `json:"currency"`
		At       time.Time `json:"at"`
	}
	// Deposited says that money came in at a counter.
	Deposited struct{ Money }
	// Withdrawn says that money went out at a counter.
	Withdrawn struct{ Money }
	// Sent says that money went to another account, which has Received.
	Sent struct {
		Money
		To string `json:"to"`
	}
	// Received says that money came from another account, which has Sent.
	Received struct {
		Money
		From string `json:"from"`
	}
	// Settled says that the interest of a month was paid.
	Settled struct {
		Money
		Month string `json:"month"`
	}
)

// Money is an amount that moved.
type Money struct {
	AmountMinor int64     `json:"amount_minor"`
	Currency    string    `json:"currency"`
	At          time.Time `json:"at"`
}

// Evolve implements Event, as it does for all of them.
func (e Opened) Evolve(a Account) Account {
	a.Owner, a.Currency = e.Owner, e.Currency
	return a
}

func (e Deposited) Evolve(a Account) Account { a.Balance += e.AmountMinor; return a }

func (e Withdrawn) Evolve(a Account) Account { a.Balance -= e.AmountMinor; return a }

func (e Sent) Evolve(a Account) Account { a.Balance -= e.AmountMinor; return a }

func (e Received) Evolve(a Account) Account { a.Balance += e.AmountMinor; return a }

func (e Settled) Evolve(a Account) Account {
	a.Balance, a.SettledThrough = a.Balance+e.AmountMinor, e.Month
	return a
}

// withdrawnV1 is how withdrawals were written at first: all accounts were in euros then.
type withdrawnV1 struct {
	Cents int64     `json:"cents"`
	At    time.Time `json:"at"`
}

func withdrawnFromV1(e withdrawnV1) (Withdrawn, error) {
	return Withdrawn{Money{AmountMinor: e.Cents, Currency: "EUR", At: e.At}}, nil
}

// Why a command is refused.
var (
	ErrInvalid      = errors.New("invalid input")
	ErrNotOpen      = errors.New("there is no such account")
	ErrOpen         = errors.New("the account exists already")
	ErrInsufficient = errors.New("there is too little in the account")
	ErrCurrencies   = errors.New("the accounts are in two currencies")
	ErrSettled      = errors.New("the interest of this month was paid before")
)

// InvalidError is ErrInvalid for one member of a command.
type InvalidError struct{ Pointer, Reason string }

func (e *InvalidError) Error() string { return e.Pointer[1:] + " " + e.Reason }

// Is reports that it is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// InvalidField says over HTTP which member it is.
func (e *InvalidError) InvalidField() (pointer, reason string) { return e.Pointer, e.Reason }

// maxAmount is the largest amount and balance, which all JSON programs read exactly.
const maxAmount = 1<<53 - 1

// move returns money that moves into the account, or out of it if sign is -1.
func (a Account) move(amount int64, sign int64, at time.Time) (Money, error) {
	switch {
	case a.Owner == "":
		return Money{}, ErrNotOpen
	case amount < 1 || amount > maxAmount:
		return Money{}, &InvalidError{"/amount_minor", fmt.Sprintf("must be from 1 to %d", maxAmount)}
	case a.Balance+sign*amount < 0:
		return Money{}, fmt.Errorf("%w: %d", ErrInsufficient, a.Balance)
	case a.Balance+sign*amount > maxAmount:
		return Money{}, &InvalidError{"/amount_minor", fmt.Sprintf("would bring the balance beyond %d", maxAmount)}
	}
	return Money{AmountMinor: amount, Currency: a.Currency, At: at}, nil
}

// Open asks for a new account.
type Open struct {
	ID       string    `json:"id" app:"id"`
	Owner    string    `json:"owner" http:"required"`
	Currency string    `json:"currency" http:"required"`
	At       time.Time `json:"at" app:"time"`
}

// CreatesStream says that there is no account of this id as a rule: it need not be looked for.
func (Open) CreatesStream() {}

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// Decide implements commands.Command, as it does for all of them.
func (c Open) Decide(a Account) ([]Event, error) {
	switch {
	case a.Owner != "":
		return nil, ErrOpen
	case c.Owner == "" || len(c.Owner) > 100:
		return nil, &InvalidError{"/owner", "must have from 1 to 100 bytes"}
	case !currency.MatchString(c.Currency):
		return nil, &InvalidError{"/currency", "must be a code of three letters, such as EUR"}
	}
	return []Event{Opened{c.Owner, c.Currency, c.At}}, nil
}

// Deposit asks for money to be taken in at a counter.
type Deposit struct {
	AmountMinor int64     `json:"amount_minor" http:"required"`
	At          time.Time `json:"at" app:"time"`
}

func (c Deposit) Decide(a Account) ([]Event, error) {
	money, err := a.move(c.AmountMinor, 1, c.At)
	return []Event{Deposited{money}}, err
}

// Withdraw asks for money to be paid out at a counter.
type Withdraw struct {
	AmountMinor int64     `json:"amount_minor" http:"required"`
	At          time.Time `json:"at" app:"time"`
}

func (c Withdraw) Decide(a Account) ([]Event, error) {
	money, err := a.move(c.AmountMinor, -1, c.At)
	return []Event{Withdrawn{money}}, err
}

// Settle asks for the interest of a month to be paid, 1 % a year of what is in the account. The
// bank itself does, once a month.
type Settle struct {
	Month string    `json:"month"`
	At    time.Time `json:"at" app:"time"`
}

func (c Settle) Decide(a Account) ([]Event, error) {
	if _, err := time.Parse("2006-01", c.Month); err != nil {
		return nil, &InvalidError{"/month", "must be a month, such as 2026-01"}
	}
	if c.Month <= a.SettledThrough {
		return nil, ErrSettled
	}
	interest := a.Balance / 1200
	if a.Owner != "" && interest == 0 {
		return nil, nil
	}
	money, err := a.move(interest, 1, c.At)
	return []Event{Settled{money, c.Month}}, err
}

// Transfer asks for money to go from one account to another.
type Transfer struct {
	From        string    `json:"from" http:"required"`
	To          string    `json:"to" http:"required"`
	AmountMinor int64     `json:"amount_minor" http:"required"`
	At          time.Time `json:"at" app:"time"`
}

// Decide returns what the transfer does to the two accounts.
func (c Transfer) Decide(from, to Account) (sent Sent, received Received, err error) {
	out, err := from.move(c.AmountMinor, -1, c.At)
	if err != nil {
		return sent, received, fmt.Errorf("from: %w", err)
	}
	in, err := to.move(c.AmountMinor, 1, c.At)
	switch {
	case err != nil:
		return sent, received, fmt.Errorf("to: %w", err)
	case c.From == c.To:
		return sent, received, &InvalidError{"/to", "must be another account than from"}
	case from.Currency != to.Currency:
		return sent, received, fmt.Errorf("%w: %s and %s", ErrCurrencies, from.Currency, to.Currency)
	}
	return Sent{out, c.To}, Received{in, c.From}, nil
}
