package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/57528e99/recount/domain/account"
	"github.com/57528e99/recount/domain/goods"
)

var (
	post = account.Post{
		ID: "t-1", Currency: "GBP", Reason: "order 42",
		Entries: []account.Entry{entry("receivable:card", 1745), entry("sales", -1450), entry("vat", -295)},
		At:      time.Date(2026, 3, 1, 10, 30, 0, 0, time.UTC),
	}
	posted = account.Posted{ID: "t-1", Currency: "GBP", Reason: "order 42", Entries: post.Entries, At: post.At}
)

func TestATransactionIsPostedOnce(t *testing.T) {
	got, err := post.Decide(account.Transaction{})
	if want := []account.Event{posted}; err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("Post = %+v, %v, want %+v", got, err, want)
	}
	got, err = post.Decide(got[0].Evolve(account.Transaction{}))
	if got != nil || !errors.Is(err, account.ErrAlreadyPosted) {
		t.Errorf("Post again = %+v, %v, want ErrAlreadyPosted", got, err)
	}
}

// Whatever is posted, the balances of all accounts add up to zero; what would not
// is refused.
func TestNoMoneyIsMadeOrLost(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		balances := make(map[string]int64)
		for i := range rapid.IntRange(1, 10).Draw(t, "transactions") {
			c := account.Post{ID: fmt.Sprint(i), Currency: "GBP", Reason: "drawn", At: post.At}
			var rest int64
			for a := range rapid.IntRange(1, 6).Draw(t, "entries") {
				n := rapid.OneOf(rapid.Int64Range(-9, 9), rapid.Int64Range(-goods.MaxTotalMinor, goods.MaxTotalMinor)).Draw(t, "amount")
				if n == 0 || rest+n < -goods.MaxTotalMinor || rest+n > goods.MaxTotalMinor {
					continue
				}
				rest += n
				c.Entries = append(c.Entries, account.Entry{Account: fmt.Sprint("a", a), AmountMinor: n})
			}
			off := rapid.SampledFrom([]int64{0, 0, 0, 1, -1}).Draw(t, "off by")
			c.Entries = append(c.Entries, account.Entry{Account: "rest", AmountMinor: -rest + off})
			balanced := off == 0 && rest != 0 // an entry of 0 is none

			got, err := c.Decide(account.Transaction{})
			if balanced != (err == nil) {
				t.Fatalf("%+v: %v", c, err)
			}
			for _, e := range got {
				for _, one := range e.(account.Posted).Entries {
					balances[one.Account] += one.AmountMinor
				}
			}
			var sum int64
			for _, b := range balances {
				sum += b
			}
			if sum != 0 {
				t.Fatalf("after %+v the balances add up to %d", c, sum)
			}
		}
	})
}

func TestInputIsChecked(t *testing.T) {
	tests := []struct {
		field  string
		change func(*account.Post)
	}{
		{"/id", func(c *account.Post) { c.ID = "a/b" }},
		{"/currency", func(c *account.Post) { c.Currency = "£" }},
		{"/entries", func(c *account.Post) { c.Entries = nil }},
		{"/entries", func(c *account.Post) { c.Entries = []account.Entry{entry("sales", 1)} }},
		{"/entries", func(c *account.Post) { c.Entries = entries(account.MaxEntries + 2) }},
		{"/entries", func(c *account.Post) { c.Entries = []account.Entry{entry("cash", 2), entry("sales", -1)} }},
		{"/entries/1/account", func(c *account.Post) { c.Entries = []account.Entry{entry("cash", 1), entry("", -1)} }},
		{"/entries/1/account", func(c *account.Post) { c.Entries = []account.Entry{entry("cash", 1), entry("cash", -1)} }},
		{"/entries/1/amount_minor", func(c *account.Post) { c.Entries = []account.Entry{entry("cash", 1), entry("sales", 0)} }},
		{"/entries/0/amount_minor", func(c *account.Post) {
			c.Entries = []account.Entry{entry("cash", goods.MaxTotalMinor+1), entry("sales", -goods.MaxTotalMinor-1)}
		}},
		{"/reason", func(c *account.Post) { c.Reason = " " }},
		{"/at", func(c *account.Post) { c.At = time.Time{} }},
	}
	for _, test := range tests {
		c := post
		test.change(&c)
		// It exists already: bad input is told first.
		got, err := c.Decide(account.Transaction{ID: "t-1"})
		var invalid *goods.InvalidError
		if got != nil || !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%+v = %v, %v, want an *InvalidError for %s", c, got, err, test.field)
		}
	}
	c := post
	c.Entries = entries(account.MaxEntries)
	if _, err := c.Decide(account.Transaction{}); err != nil {
		t.Errorf("Post with as many entries as may be = %v", err)
	}
}

func entry(name string, minor int64) account.Entry {
	return account.Entry{Account: name, AmountMinor: minor}
}

// entries returns an even number of entries that add up to zero.
func entries(n int) (all []account.Entry) {
	for i := range n {
		all = append(all, account.Entry{Account: fmt.Sprint(i), AmountMinor: int64(1 - i%2*2)})
	}
	return all
}

func TestPostedKeepsItsEntriesWhenTheCommandChanges(t *testing.T) {
	c := post
	c.Entries = append([]account.Entry(nil), post.Entries...)
	got, err := c.Decide(account.Transaction{})
	if err != nil {
		t.Fatalf("Post = %v", err)
	}
	c.Entries[0].AmountMinor = 1
	if first := got[0].(account.Posted).Entries[0]; first != post.Entries[0] {
		t.Errorf("entry of Posted = %+v, want %+v", first, post.Entries[0])
	}
}

func TestPostedSurvivesJSON(t *testing.T) {
	data, err := json.Marshal(posted)
	if err != nil {
		t.Fatalf("marshal: %v", err)
	}
	var back account.Posted
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(back, posted) {
		t.Errorf("Posted comes back from %s as %+v, %v", data, back, err)
	}
}
