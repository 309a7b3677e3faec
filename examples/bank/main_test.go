package main

import (
	"errors"
	"sync"
	"testing"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
	"github.com/57528e99/recount/examples/bank/accounts"
)

func TestTheDescriptionHasNoMistakes(t *testing.T) {
	t.Parallel()
	if err := bank().Check(); err != nil {
		t.Error(err)
	}
}

// inMemory runs the bank's commands without a database.
func inMemory(t *testing.T) (*app.Commands, *memstore.Store) {
	t.Helper()
	store := memstore.New(memstore.Config{})
	t.Cleanup(func() { store.Close(t.Context()) })
	c, err := app.NewCommands(bank(), store, app.CommandsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return c, store
}

func TestCommands(t *testing.T) {
	t.Parallel()
	c, store := inMemory(t)
	// A withdrawal as it was written in the bank's first year.
	_, err := store.Append(t.Context(), eventstore.StreamAppend{Stream: "account-old", Expected: eventstore.NoStream, Events: []eventstore.Event{
		{Type: "AccountOpened", Data: []byte(`{"owner":"Old","currency":"EUR"}`)},
		{Type: "MoneyDeposited", Data: []byte(`{"amount_minor":100,"currency":"EUR"}`)},
		{Type: "Withdrawn", SchemaVersion: 1, Data: []byte(`{"cents":40}`)},
	}}, eventstore.AppendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name, id string
		command  any
		want     error
	}{
		{"account.open", "ada", accounts.Open{Owner: "Ada", Currency: "EUR"}, nil},
		{"account.open", "ada", accounts.Open{Owner: "Ada", Currency: "EUR"}, accounts.ErrOpen},
		{"account.open", "kim", accounts.Open{Owner: "Kim", Currency: "NOK"}, nil},
		{"account.open", "eve", accounts.Open{Owner: "Eve", Currency: "euros"}, accounts.ErrInvalid},
		{"account.deposit", "ada", accounts.Deposit{AmountMinor: 500_000}, nil},
		{"account.deposit", "ada", accounts.Deposit{AmountMinor: -1}, accounts.ErrInvalid},
		{"account.deposit", "bob", accounts.Deposit{AmountMinor: 1}, accounts.ErrNotOpen},
		{"account.withdraw", "ada", accounts.Withdraw{AmountMinor: 500_001}, accounts.ErrInsufficient},
		{"account.settle", "ada", accounts.Settle{Month: "2026-01"}, nil},
		{"account.settle", "ada", accounts.Settle{Month: "2026-01"}, accounts.ErrSettled},
		{"transfer", "", accounts.Transfer{From: "ada", To: "old", AmountMinor: 416}, nil},
		{"transfer", "", accounts.Transfer{From: "ada", To: "old", AmountMinor: 500_001}, accounts.ErrInsufficient},
		{"transfer", "", accounts.Transfer{From: "ada", To: "ada", AmountMinor: 1}, accounts.ErrInvalid},
		{"transfer", "", accounts.Transfer{From: "ada", To: "bob", AmountMinor: 1}, accounts.ErrNotOpen},
		{"transfer", "", accounts.Transfer{From: "ada", To: "kim", AmountMinor: 1}, accounts.ErrCurrencies},
	} {
		if _, err := c.Do(t.Context(), step.name, step.id, step.command, commands.Options{}); !errors.Is(err, step.want) {
			t.Errorf("%s %s %+v: %v, want %v", step.name, step.id, step.command, err, step.want)
		}
	}
	wantBalances(t, c, map[string]int64{"account-ada": 500_000, "account-old": 476, "account-kim": 0})
}

func wantBalances(t *testing.T, c *app.Commands, want map[string]int64) {
	t.Helper()
	for stream, balance := range want {
		state, _, err := c.State(t.Context(), stream, commands.Moment{})
		if err != nil || state.(accounts.Account).Balance != balance {
			t.Errorf("state of %s = %+v, %v; want a balance of %d", stream, state, err, balance)
		}
	}
}

// TestManyTellersAtTwoAccounts: whoever transfers the same money at the same time is told of no
// conflict.
func TestManyTellersAtTwoAccounts(t *testing.T) {
	t.Parallel()
	c, _ := inMemory(t)
	do := func(name, id string, command any) {
		if _, err := c.Do(t.Context(), name, id, command, commands.Options{}); err != nil {
			t.Errorf("%s %s %+v: %v", name, id, command, err)
		}
	}
	for _, id := range []string{"ada", "ben"} {
		do("account.open", id, accounts.Open{Owner: id, Currency: "EUR"})
		do("account.deposit", id, accounts.Deposit{AmountMinor: 1000})
	}
	var tellers sync.WaitGroup
	for n := range 8 {
		tellers.Go(func() {
			from, to := "ada", "ben"
			if n%2 == 1 {
				from, to = to, from
			}
			for range 20 {
				do("transfer", "", accounts.Transfer{From: from, To: to, AmountMinor: int64(1 + n)})
			}
		})
	}
	tellers.Wait()
	// Those of ada send 1, 3, 5 and 7 at a time, and those of ben 2, 4, 6 and 8.
	wantBalances(t, c, map[string]int64{"account-ada": 1000 + 20*(20-16), "account-ben": 1000 - 20*(20-16)})
}
