package main

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Bank is the account that may have less than nothing: all money comes from there.
const Bank = "bank"

// Account is what commands on an account decide from, and what is read of it.
type Account struct {
	// Owner is empty as long as the account has not been opened.
	Owner        string
	BalanceMinor int64
	// Held is what transfers under way have set aside of the balance, by their ids.
	Held map[string]int64
	// Sent counts transfers, and Recent are the times of those of the last hour.
	Sent   int
	Recent []time.Time
}

// Event is an event of an account.
type Event interface{ Evolve(Account) Account }

// What happens to an account.
type (
	// Opened is the first event of every account.
	Opened struct {
		Owner string `json:"owner"`
	}
	// Held says that money is set aside for a transfer, with all that its process needs to know.
	Held struct {
		Transfer    string `json:"transfer"`
		From        string `json:"from"`
		To          string `json:"to"`
		AmountMinor int64  `json:"amount_minor"`
		// Suspicion is what the rule for fraud has found; empty: nothing.
		Suspicion string    `json:"suspicion,omitempty"`
		At        time.Time `json:"at"`
	}
	// Released says that a transfer does not come about, and why: its money is free again.
	Released struct {
		Transfer string `json:"transfer"`
		Reason   string `json:"reason"`
	}
	// Entered is an entry in the ledger: money came in, or went out if it is negative. The other account of the
	// transfer has the opposite entry, from the same append.
	Entered struct {
		Transfer    string `json:"transfer"`
		AmountMinor int64  `json:"amount_minor"`
	}
)

// Evolve implements Event, as it does for all of them.
func (e Opened) Evolve(a Account) Account {
	a.Owner = e.Owner
	return a
}

func (e Held) Evolve(a Account) Account {
	a.Held = maps.Clone(a.Held) // somebody may have the account of before
	if a.Held == nil {
		a.Held = make(map[string]int64)
	}
	a.Held[e.Transfer] = e.AmountMinor
	a.Sent, a.Recent = a.Sent+1, append(a.sentWithin(time.Hour, e.At), e.At)
	return a
}

func (e Released) Evolve(a Account) Account {
	a.Held = maps.Clone(a.Held)
	delete(a.Held, e.Transfer)
	return a
}

func (e Entered) Evolve(a Account) Account {
	a.BalanceMinor += e.AmountMinor
	return Released{Transfer: e.Transfer}.Evolve(a)
}

func (a Account) sentWithin(d time.Duration, at time.Time) []time.Time {
	return slices.DeleteFunc(slices.Clone(a.Recent), func(t time.Time) bool { return t.Before(at.Add(-d)) })
}

// Free is what is not set aside.
func (a Account) Free() int64 {
	free := a.BalanceMinor
	for _, amount := range a.Held {
		free -= amount
	}
	return free
}

// Why a command is refused.
var (
	ErrOpen      = errors.New("the account exists already")
	ErrNotOpen   = errors.New("there is no such account")
	ErrTooLittle = errors.New("there is too little in the account")
)

// Open asks for a new account.
type Open struct {
	ID    string `json:"id" app:"id"`
	Owner string `json:"owner"`
}

// Decide implements commands.Command, as it does for all of them.
func (c Open) Decide(a Account) ([]Event, error) {
	switch {
	case a.Owner != "":
		return nil, ErrOpen
	case c.Owner == "":
		return nil, errors.New("the owner must have a name")
	}
	return []Event{Opened{c.Owner}}, nil
}

// Send asks for money to go to another account.
type Send struct {
	From        string    `json:"-" app:"id"`
	To          string    `json:"to"`
	AmountMinor int64     `json:"amount_minor"`
	At          time.Time `json:"at" app:"time"`
}

func (c Send) Decide(a Account) ([]Event, error) {
	switch {
	case a.Owner == "":
		return nil, ErrNotOpen
	case c.AmountMinor < 1 || c.AmountMinor > 1<<53-1:
		return nil, fmt.Errorf("amount_minor must be from 1 to %d", 1<<53-1)
	case c.To == c.From:
		return nil, errors.New("the money must go to another account")
	case c.From != Bank && c.AmountMinor > a.Free():
		return nil, ErrTooLittle
	}
	id := fmt.Sprintf("%s-%d", c.From, a.Sent+1)
	return []Event{Held{id, c.From, c.To, c.AmountMinor, c.suspicion(a), c.At}}, nil
}

// The rule for fraud: from which amount on a transfer is large, and how many there may be within an hour.
const (
	Large = 1_000_000
	Many  = 3
)

// suspicion is what the rule finds; "": nothing.
func (c Send) suspicion(a Account) string {
	switch n := len(a.sentWithin(time.Hour, c.At)) + 1; {
	case c.From == Bank:
		return ""
	case c.AmountMinor >= Large:
		return "it is large"
	case n > Many:
		return fmt.Sprintf("it is number %d within an hour", n)
	}
	return ""
}

// Release gives back what was set aside for a transfer.
type Release struct{ Transfer, Reason string }

func (c Release) Decide(Account) ([]Event, error) { return []Event{Released(c)}, nil }
