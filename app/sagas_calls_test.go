package app_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/sagas"
)

// TestCommandsThatCannotBeMade fail their step at once.
func TestCommandsThatCannotBeMade(t *testing.T) {
	t.Parallel()
	for name, step := range map[string]string{
		"cannot be made of what the saga gives it": `{command: trip.become, id: {from: /id}, body: {state: reserved}}`,
		`"vanish" is none of trip`:                 `{command: trip.vanish, id: {from: /id}}`,
		"must have at most":                        `{command: trip.become, id: "` + strings.Repeat("long", 1000) + `", body: {status: reserved}}`,
	} {
		s, err := sagas.Parse([]byte("saga: booking\nversion: 1\nstart: {event: TripBooked, id: {from: /id}}\nsteps: [{step: pay, call: pay, undo: {call: refund}}, {step: odd, "+step[1:]+"]"),
			sagas.Registry{Functions: map[string]sagas.Function{"pay": nothing, "refund": nothing}})
		if err != nil {
			t.Fatal(err)
		}
		x := apptest.New(t, tripsApp(s))
		if err := x.Do("trip.book", "one", book{Price: 100}); err != nil {
			t.Fatal(err)
		}
		deliver(t, x)
		i, _, err := x.Service.Sagas.Load(t.Context(), "booking", "one")
		if err != nil || i.Status != sagas.Failed || i.Code != sagas.CodeDefinition || !strings.Contains(i.Error, name) {
			t.Errorf("it is %s (%s: %s, %v), want failed (%s: %s)", i.Status, i.Code, i.Error, err, sagas.CodeDefinition, name)
		}
	}
}

// TestCallsThatHang are tried again when they have not said for too long that they are alive.
func TestCallsThatHang(t *testing.T) {
	t.Parallel()
	s := sagas.Define("booking", 1, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID} })
		s.Call("pay", func(ctx context.Context, c sagas.Call, d *tripData) error {
			c.Beat()
			<-ctx.Done()
			return ctx.Err()
		}).Heartbeat(time.Millisecond).Attempts(sagas.Attempts{Max: 2, First: time.Millisecond})
	})
	x := apptest.New(t, tripsApp(s))
	if err := x.Do("trip.book", "one", book{Price: 100}); err != nil {
		t.Fatal(err)
	}
	if err := x.Deliver(); !errors.Is(err, sagas.ErrNoHeartbeat) {
		t.Errorf("the first attempt ends with %v", err)
	}
	deliver(t, x)
	i, _, err := x.Service.Sagas.Load(t.Context(), "booking", "one")
	if err != nil || i.Status != sagas.Failed || i.Code != sagas.CodeExhausted || !strings.Contains(i.Error, sagas.ErrNoHeartbeat.Error()) {
		t.Errorf("it is %s (%s: %s, %v), want failed", i.Status, i.Code, i.Error, err)
	}
}

func nothing(context.Context, sagas.Call, json.RawMessage) (any, error) { return nil, nil }
