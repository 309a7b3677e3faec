package app_test

import (
	"context"
	"time"

	"github.com/57528e99/recount/sagas"
)

// tripData is what the steps of a booking hand on.
type tripData struct {
	ID       string `json:"id"`
	Price    int64  `json:"price"`
	Paid     bool   `json:"paid,omitempty"`
	Approved string `json:"approved,omitempty"`
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
