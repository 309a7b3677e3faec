package app_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/sagas"
)

// tripData is what the steps of a booking hand on.
type tripData struct {
	ID       string `json:"id"`
	Price    int64  `json:"price"`
	Paid     bool   `json:"paid,omitempty"`
	Approved string `json:"approved,omitempty"`
	// Bill is what the answer to it says.
	Bill map[string]string `json:"bill,omitempty"`
}

// becomes is the command that gives the trip a status.
func becomes(status string) func(tripData) sagas.Command {
	return func(d tripData) sagas.Command {
		return sagas.Command{Name: "trip.become", ID: d.ID, Command: become{status}}
	}
}

// booking reserves a trip, takes the money, waits for somebody to approve it, and for twenty minutes in which it can be cancelled.
func booking(b *bank) *sagas.Saga {
	return sagas.Define("booking", 1, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID, Price: e.Price} })
		s.Command("reserve", becomes("reserved")).Undo(becomes("released"))
		s.Call("pay", func(ctx context.Context, c sagas.Call, d *tripData) error {
			d.Paid = true
			return b.pay(ctx, c.Key, d.Price)
		}).UndoCall(func(ctx context.Context, c sagas.Call, d *tripData) error {
			d.Paid = false
			return b.refund(ctx, c.Key, d.Price)
		}).Attempts(sagas.Attempts{Max: 3, First: 10 * time.Millisecond})
		sagas.Receive(s, "approval", func(e tripApproved) string { return e.ID },
			func(d *tripData, e tripApproved) { d.Approved = e.By }).Within(time.Hour)
		s.Wait("cool-off", 20*time.Minute)
		s.Command("confirm", becomes("confirmed"))
	})
}

// askForApproval asks the traveller's agent, and after a day without an answer the manager too.
func askForApproval(s *sagas.Steps[tripData]) {
	s.Any("approval", func(s *sagas.Steps[tripData]) {
		s.Ask("agent", nil).Within(72 * time.Hour)
	}, func(s *sagas.Steps[tripData]) {
		s.Wait("patience", 24*time.Hour)
		s.Ask("manager", nil)
	})
}

// bill asks for the price over HTTP, and for its refund if the trip comes to nothing.
func bill(s *sagas.Steps[tripData]) {
	secret := &delivery.Secret{Env: "RECOUNT_SECRET_BILLS"}
	bills := sagas.Request{HTTPTarget: delivery.HTTPTarget{URL: "https://bills.example.com/bills"}, Secret: secret}
	refunds := sagas.Request{HTTPTarget: delivery.HTTPTarget{URL: "https://bills.example.com/refunds"}, Secret: secret}
	amount := func(d tripData) any { return map[string]int64{"amount": d.Price} }
	s.HTTP("bill", bills, amount, func(d *tripData, answer json.RawMessage) error {
		return json.Unmarshal(answer, &d.Bill)
	}).UndoHTTP(refunds, amount)
}

// nightly closes the day's trip at half past four in the morning.
var nightly = sagas.Schedule{Name: "nightly", Cron: "CRON_TZ=Europe/Berlin 30 4 * * *", Command: func(due time.Time) sagas.Command {
	return sagas.Command{Name: "trip.become", ID: due.Format(time.DateOnly), Command: become{"closed"}}
}}

func TestDefinitionsOfTheDocuments(t *testing.T) {
	t.Parallel()
	a := tripsApp()
	a.Modules[0].Schedules = []sagas.Schedule{nightly}
	a.Modules[0].Sagas = append(a.Modules[0].Sagas, sagas.Define("tour", 1, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID, Price: e.Price} })
		askForApproval(s)
		bill(s)
	}))
	if err := a.Check(); err != nil {
		t.Error(err)
	}
}
