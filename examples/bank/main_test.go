package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/examples/bank/accounts"
)

func TestMain(m *testing.M) { apptest.Main(m) }

func TestTheDescriptionHasNoMistakes(t *testing.T) {
	t.Parallel()
	if err := bank().Check(); err != nil {
		t.Error(err)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, bank())
	// A withdrawal as it was written in the bank's first year.
	_, err := x.Service.Log.Append(t.Context(), eventstore.StreamAppend{Stream: "account-old", Expected: eventstore.NoStream, Events: []eventstore.Event{
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
		if err := x.Do(step.name, step.id, step.command); !errors.Is(err, step.want) {
			t.Errorf("%s %s %+v: %v, want %v", step.name, step.id, step.command, err, step.want)
		}
	}
	wantBalances(t, x, map[string]int64{"account-ada": 500_000, "account-old": 476, "account-kim": 0})
}

func wantBalances(t *testing.T, x *apptest.Test, want map[string]int64) {
	t.Helper()
	for stream, balance := range want {
		if state := x.State(stream).(accounts.Account); state.Balance != balance {
			t.Errorf("state of %s = %+v, want a balance of %d", stream, state, balance)
		}
	}
}

// TestManyTellersAtTwoAccounts: whoever transfers the same money at the same time is told of no conflict.
func TestManyTellersAtTwoAccounts(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, bank())
	for _, id := range []string{"ada", "ben"} {
		x.Given("account-"+id, accounts.Opened{Owner: id, Currency: "EUR"}, accounts.Deposited{Money: accounts.Money{AmountMinor: 1000}})
	}
	var tellers sync.WaitGroup
	for n := range 8 {
		tellers.Go(func() {
			c := accounts.Transfer{From: "ada", To: "ben", AmountMinor: int64(1 + n)}
			if n%2 == 1 {
				c.From, c.To = c.To, c.From
			}
			for range 20 {
				if err := x.Do("transfer", "", c); err != nil {
					t.Errorf("%+v: %v", c, err)
				}
			}
		})
	}
	tellers.Wait()
	// Those of ada send 1, 3, 5 and 7 at a time, and those of ben 2, 4, 6 and 8.
	wantBalances(t, x, map[string]int64{"account-ada": 1000 + 20*(20-16), "account-ben": 1000 - 20*(20-16)})
}

// TestTheWholeBank over HTTP, from commands to read models, in memory and on PostgreSQL.
func TestTheWholeBank(t *testing.T) {
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		useBank(t, apptest.New(t, bank()))
	})
	t.Run("on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		x := apptest.Postgres(t, bank())
		useBank(t, x)
		answers(t, x, "GET /v1/totals?currency=EUR", 200, `{"items":[{"day":"2026-03-02","currency":"EUR","in_minor":1000,"out_minor":100,"moves":2}]`)
		answers(t, x, "GET /v1/totals?currency=NOK", 200, `"items":[]`)
	})
}

// answers sends a request, as "METHOD path body", and wants an answer with a text.
func answers(t *testing.T, x *apptest.Test, request string, status int, want string) {
	t.Helper()
	parts := append(strings.SplitN(request, " ", 3), "")
	w := x.Request(parts[0], parts[1], parts[2], "X-Forwarded-User: tina", fmt.Sprintf("Idempotency-Key: %q", request))
	if w.Code != status || !strings.Contains(w.Body.String(), want) {
		t.Errorf("%s = %d %s, want %d with %s", request, w.Code, w.Body, status, want)
	}
}

func useBank(t *testing.T, x *apptest.Test) {
	const transfer = `POST /v1/transfers {"from":"ada","to":"ben","amount_minor":600}`
	for _, step := range []struct {
		request string
		status  int
		want    string
	}{
		{`POST /v1/accounts {"id":"ada","owner":"Ada","currency":"EUR"}`, 201, `"stream":"account-ada"`},
		{`POST /v1/accounts {"id":"ben","owner":"Ben","currency":"EUR"}`, 201, `"version":0`},
		{`POST /v1/accounts/ada/deposit {"amount_minor":1000,"at":"2026-03-01T23:30:00-02:00"}`, 200, `"version":1`},
		{`POST /v1/accounts/ada/withdraw {"amount_minor":100,"at":"2026-03-01T23:30:00-02:00"}`, 200, `"version":2`},
		{`POST /v1/accounts/ada/withdraw {"amount_minor":901}`, 409, "insufficient-funds"},
		{`POST /v1/accounts/ada/deposit {"amount_minor":0}`, 422, `"pointer":"/amount_minor"`},
		{`POST /v1/accounts/ada/settle {"month":"2026-03"}`, 404, "not-found"},
		{transfer, 200, `"stream":"account-ben"`},
		{transfer, 200, `"version":3`}, // the same again
		{`POST /v1/transfers {"from":"ada","to":"ben","amount_minor":301}`, 409, "insufficient-funds"},
		{`POST /v1/transfers {"from":"ada","to":"bob","amount_minor":1}`, 404, "account-not-found"},
		{`GET /v1/accounts/ada`, 200, `"balance_minor":300`},
		{`GET /v1/accounts/bob`, 404, "not-found"},
		{`GET /v1/accounts?owner=Ben`, 200, `"balance_minor":600,"currency":"EUR","id":"ben"`},
		{`GET /v1/accounts/ada/statement?limit=2`, 200, `"amount_minor":-100,`},
		{`GET /v1/accounts/ben/statement`, 200, `"kind":"received","other":"ada","version":1`},
	} {
		answers(t, x, step.request, step.status, step.want)
	}
	if err := x.Do("account.settle", "ben", accounts.Settle{Month: "2026-03"}); err != nil {
		t.Error(err)
	}
	for e, err := range x.Service.Log.ReadStream(t.Context(), "account-ben", eventstore.ReadOptions{}) {
		if err != nil || e.Type == "MoneyReceived" && !strings.Contains(string(e.Metadata), `"actor":"tina"`) {
			t.Errorf("metadata = %s, %v; want those of tina", e.Metadata, err)
		}
	}
}

// TestLargeWithdrawalsAreReported, each as often as it happened, and others are not.
func TestLargeWithdrawalsAreReported(t *testing.T) {
	t.Parallel()
	var told bytes.Buffer
	x := apptest.New(t, bank())
	x.Service.Logger = zerolog.New(&told)
	x.Given("account-ada", accounts.Opened{Owner: "Ada", Currency: "EUR"}, accounts.Deposited{Money: accounts.Money{AmountMinor: 5_000_000}})
	for _, amount := range []int64{999_999, 1_000_000, 2_000_000} {
		if err := x.Do("account.withdraw", "ada", accounts.Withdraw{AmountMinor: amount}); err != nil {
			t.Fatal(err)
		}
		if err := x.Deliver(); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(told.String(), `"account":"ada"`); n != 2 || !strings.Contains(told.String(), `"amount_minor":2000000`) {
		t.Errorf("the branch was told %s, want of two withdrawals", &told)
	}
}
