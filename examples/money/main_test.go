package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/examples/internal/readme"
	"github.com/57528e99/recount/sagas"
)

func TestMain(m *testing.M) { apptest.Main(m) }

func TestReadme(t *testing.T) {
	t.Parallel()
	readme.Run(t, apptest.New(t, money()), "README.md")
}

// TestTransfers come to each of their ends.
func TestTransfers(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, money())
	for _, step := range []struct {
		request string
		status  int
		want    string
	}{
		{`POST /v1/accounts {"id":"bank","owner":"the bank"}`, 201, ""},
		{`POST /v1/accounts {"id":"ann","owner":"Ann"}`, 201, ""},
		{`POST /v1/accounts {"id":"ben","owner":"Ben"}`, 201, ""},
		{`POST /v1/accounts/bank/send {"to":"ann","amount_minor":3000001}`, 200, ""},
		{`GET /v1/accounts/ann`, 200, `"balance_minor":3000001`},
		{`POST /v1/accounts/ann/send {"to":"ben","amount_minor":1000000}`, 200, ""},                       // 1: is agreed to
		{`POST /v1/accounts/ann/send {"to":"ben","amount_minor":1000000}`, 200, ""},                       // 2: is not
		{`POST /v1/accounts/ann/send {"to":"ben","amount_minor":999999}`, 200, ""},                        // 3: nobody is asked
		{`POST /v1/accounts/ann/send {"to":"ben","amount_minor":1}`, 200, ""},                             // 4: within an hour, and nobody answers
		{`POST /v1/accounts/ann/send {"to":"bob","amount_minor":1,"at":"2099-01-01T00:00:00Z"}`, 200, ""}, // 5: there is no bob
		{`POST /v1/accounts/ann/send {"to":"ben","amount_minor":2}`, 409, "too-little"},
		{`GET /v1/accounts/ann`, 200, `"held":{"ann-1":1000000,"ann-2":1000000,"ann-4":1}`},
		{`GET /v1/sagas?saga=transfer&step=review`, 200, `"id":"ann-4"`},
		{`POST /v1/sagas/transfer/ann-1/answer {"step":"review","reason":"she called"}`, 200, ""},
		{`POST /v1/sagas/transfer/ann-2/answer {"step":"review","code":"fraud","error":"it was not her","reason":"she called"}`, 200, ""},
		{`GET /v1/accounts/ann`, 200, `"balance_minor":1000002,"held":{"ann-4":1}`},
		{`GET /v1/accounts/ben/entries`, 200, `"transfer":"ann-1"`},
	} {
		parts := append(strings.SplitN(step.request, " ", 3), "")
		w := x.Request(parts[0], parts[1], parts[2])
		if w.Code != step.status || !strings.Contains(w.Body.String(), step.want) {
			t.Errorf("%s = %d %s, want %d with %s", step.request, w.Code, w.Body, step.status, step.want)
		}
		deliver(t, x)
	}
	x.Advance(49 * time.Hour)
	deliver(t, x)
	for id, want := range map[string]string{"ann-1": "", "ann-2": "fraud", "ann-3": "", "ann-4": sagas.CodeDeadline, "ann-5": sagas.CodeRejected} {
		if i, _ := apptest.Row(x, sagas.Instances, sagas.InstanceKey{Saga: "transfer", ID: id}); i.EndedAt == nil || i.Code != want {
			t.Errorf("transfer %s is %+v, want it ended with code %q", id, i, want)
		}
	}
}

func deliver(t *testing.T, x *apptest.Test) {
	t.Helper()
	if err := x.Deliver(); err != nil {
		t.Fatal(err)
	}
}

// TestTheLedgerBalances whatever is sent, answered and left alone, at any moment; nobody but the bank ever owes, and in the end nothing
// is held.
func TestTheLedgerBalances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		x := apptest.New(t, money())
		for _, id := range []string{Bank, "ann", "ben", "cem"} {
			x.Given("account-"+id, Opened{id})
		}
		ids := rapid.SampledFrom([]string{Bank, "ann", "ben", "cem", "nobody"})
		from := rapid.SampledFrom([]string{Bank, Bank, "ann", "ben"})
		for range rapid.IntRange(1, 12).Draw(r, "acts") {
			switch rapid.SampledFrom([]string{"send", "send", "send", "answer", "wait"}).Draw(r, "act") {
			case "send": // which is refused at times
				_ = x.Do("account.send", from.Draw(r, "from"), Send{To: ids.Draw(r, "to"), AmountMinor: rapid.Int64Range(0, 2*Large).Draw(r, "amount")})
			case "answer":
				for _, i := range apptest.Rows(x, sagas.Instances) {
					if i.Row.Step == "review" && rapid.Bool().Draw(r, "this one") {
						body := fmt.Sprintf(`{"step":"review","code":%q,"reason":"test"}`, rapid.SampledFrom([]string{"", "fraud"}).Draw(r, "code"))
						if w := x.Request("POST", "/v1/sagas/transfer/"+i.Key.ID+"/answer", body); w.Code != 200 {
							r.Fatalf("answer %s: %s", body, w.Body)
						}
					}
				}
			case "wait":
				x.Advance(rapid.SampledFrom([]time.Duration{time.Hour, 49 * time.Hour}).Draw(r, "time"))
			}
			if rapid.Bool().Draw(r, "deliver") {
				deliver(t, x)
			}
			balances(r, x)
		}
		deliver(t, x)
		x.Advance(49 * time.Hour)
		deliver(t, x)
		if held := balances(r, x); held > 0 {
			r.Fatalf("%d transfers hold money, and all have ended", held)
		}
	})
}

// balances checks the accounts, and counts the transfers that hold money.
func balances(r *rapid.T, x *apptest.Test) (held int) {
	var sum int64
	entries := make(map[string]int64)
	for _, a := range apptest.Rows(x, newStates()) {
		sum, held = sum+a.Row.BalanceMinor, held+len(a.Row.Held)
		if a.Key != Bank && a.Row.Free() < 0 {
			r.Fatalf("%s has %d", a.Key, a.Row.Free())
		}
		entries[a.Key] = a.Row.BalanceMinor
	}
	for _, e := range apptest.Rows(x, newLedger()) {
		entries[e.Key.Account] -= e.Row.AmountMinor
	}
	for id, left := range entries {
		if left != 0 || sum != 0 {
			r.Fatalf("the accounts add up to %d, and the entries of %s are %d off its balance", sum, id, left)
		}
	}
	return held
}
