package app_test

import (
	"errors"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

type take struct {
	Amount int64 `json:"amount"`
}

func (c take) Decide(p purse) ([]purseEvent, error) {
	if p.Balance < c.Amount {
		return nil, errEmpty
	}
	return []purseEvent{taken(c)}, nil
}

// TestAReactionThatWasRefusedIsDecidedAgain, and one that was accepted is not.
func TestAReactionThatWasRefusedIsDecidedAgain(t *testing.T) {
	t.Parallel()
	all := app.NewAggregate[purse, purseEvent]("purse", "/v1/purses").
		Events(app.Event[filled]("PurseFilled", 1), app.Event[taken]("PurseTaken", 1)).Commands(app.Do[fill]("fill"), app.Do[take]("take"))
	s, err := app.InMemory(app.App{Name: "wallet", Modules: []app.Module{{Name: "purses", Aggregates: []app.Aggregate{all}}}}, app.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(t.Context())
	at := delivery.Event{RecordedEvent: &eventstore.RecordedEvent{}, MessageID: uuid.New()}
	react := func(amount int64) error {
		_, err := s.React(t.Context(), at, "purse.take", "ann", take{amount})
		return err
	}
	for range 2 {
		if err := react(5); !errors.Is(err, errEmpty) {
			t.Fatalf("the reaction of an empty purse: %v, want that it is empty", err)
		}
	}
	if _, err := s.Do(t.Context(), "purse.fill", "ann", fill{Amount: 9}, commands.Options{}); err != nil {
		t.Fatal(err)
	}
	// The second time the rules would refuse it: there are 4 left.
	for range 2 {
		if err := react(5); err != nil {
			t.Errorf("the reaction of a full purse: %v", err)
		}
	}
	if err := react(1); !errors.Is(err, eventstore.ErrReceiptMismatch) {
		t.Errorf("another reaction of the same name to the event: %v, want a mismatch", err)
	}
	if state, _, err := s.Commands.State(t.Context(), "purse-ann", commands.Moment{}); err != nil || state != (purse{4}) {
		t.Errorf("the purse is %+v, %v, want 4 left", state, err)
	}
}
