package main

import (
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/sagas"
)

// transfer is what the steps of a transfer hand on.
type transfer struct {
	Held
	// Failure is why it does not come about.
	Failure sagas.Failure `json:"$failure,omitzero"`
}

// transfers is the process of each transfer. It begins when the money was set aside.
func transfers() *sagas.Saga {
	return sagas.Define("transfer", 1, func(s *sagas.Steps[transfer]) {
		sagas.StartWith(s, func(e Held) (string, transfer) { return e.Transfer, transfer{Held: e} })
		// Whatever it fails for, the money is given back.
		s.OnUndo("release", func(t transfer) sagas.Command {
			return sagas.Command{Name: "account.release", ID: t.From, Command: Release{t.Transfer, t.Failure.Error}}
		})
		// If the rule for fraud has a suspicion, a person is asked, who has two days to answer.
		s.Choose("rule", sagas.When("suspicious", func(t transfer) bool { return t.Suspicion != "" }, func(s *sagas.Steps[transfer]) {
			s.Ask("review", nil).Within(48 * time.Hour)
		}))
		// The money moves.
		s.Command("post", func(t transfer) sagas.Command {
			return sagas.Command{Name: "post", Command: Post{t.Transfer, t.From, t.To, t.AmountMinor}}
		})
	})
}

// Post moves the money of a transfer.
type Post struct {
	Transfer, From, To string
	AmountMinor        int64
}

// post writes an entry to both accounts and the step of the process, in one append: none is there without the others.
func post(accounts *app.AggregateOf[Account, Event]) app.Unit {
	return app.Across("post", "/v1/postings", func(tx *app.Tx, c Post) error {
		if to, _ := accounts.Get(tx, c.To); to.Owner == "" {
			return ErrNotOpen
		}
		accounts.Put(tx, c.From, Entered{c.Transfer, -c.AmountMinor})
		accounts.Put(tx, c.To, Entered{c.Transfer, c.AmountMinor})
		return nil
	}, app.Internal)
}
