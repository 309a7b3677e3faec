package main

import (
	"context"
	"errors"
	"log"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/cli"
	"github.com/57528e99/recount/sagas"
)

// A claim is what commands decide from. Each of its events is a command as well: what it asks for, happens.
type claim struct{ Status string }
type event interface{ Evolve(claim) claim }
type filed struct {
	ID    string `json:"id" app:"id"`
	Euros int    `json:"euros"`
}
type approved struct {
	ID string `json:"id" app:"id"`
}
type closed struct{ Status string }

func (e filed) Evolve(claim) claim               { return claim{"filed"} }
func (e approved) Evolve(claim) claim            { return claim{"approved"} }
func (e closed) Evolve(claim) claim              { return claim(e) }
func (e filed) Decide(claim) ([]event, error)    { return []event{e}, nil }
func (e approved) Decide(claim) ([]event, error) { return []event{e}, nil }
func (e closed) Decide(claim) ([]event, error)   { return []event{e}, nil }

// expense is the process: a claim that is filed is approved within a day and paid, or it is refused.
func expense() *sagas.Saga {
	return sagas.Define("expense", 1, func(s *sagas.Steps[filed]) {
		sagas.StartWith(s, func(e filed) (id string, data filed) { return e.ID, e })
		s.OnUndo("refuse", becomes("refused"))
		sagas.Receive(s, "approval", func(e approved) (id string) { return e.ID }, nil).Within(24 * time.Hour)
		s.Call("pay", pay)
		s.Command("close", becomes("paid"))
	})
}

// pay is where you would ask your bank, which pays once for a key: pay is called again after a crash, or an error.
func pay(_ context.Context, c sagas.Call, claim *filed) error {
	if claim.Euros > 1000 {
		return sagas.Fatal("too-much", errors.New("the bank does not pay that much"))
	}
	log.Printf("paid %d euros, key %s", claim.Euros, c.Key)
	return nil
}

func becomes(status string) func(filed) sagas.Command {
	return func(d filed) sagas.Command {
		return sagas.Command{Name: "claim.close", ID: d.ID, Command: closed{status}}
	}
}

func expenses() app.App {
	claims := app.NewAggregate[claim, event]("claim", "/v1/claims").
		Events(app.Event[filed]("ClaimFiled", 1), app.Event[approved]("ClaimApproved", 1), app.Event[closed]("ClaimClosed", 1)).
		Commands(app.Create[filed]("file"), app.Do[approved]("approve"), app.Do[closed]("close", app.Internal))
	return app.App{Name: "expenses", Modules: []app.Module{{
		Name: "claims", Aggregates: []app.Aggregate{claims}, Sagas: []*sagas.Saga{expense()},
	}}}
}

func main() { cli.Main(expenses()) }
