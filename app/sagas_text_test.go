package app_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/sagas"
)

// bookingAsText is booking without the approval.
const bookingAsText = `
saga: booking
version: 2
start: {event: TripBooked, id: {from: /id}, data: {id: {from: /id}, price: {from: /price}}}
steps:
  - step: reserve
    command: trip.become
    id: {from: /id}
    body: {status: reserved}
    undo: {command: trip.become, id: {from: /id}, body: {status: released}}
  - step: pay
    call: pay
    with: {price: {from: /price}}
    undo: {call: refund}
  - step: cool-off
    wait: 20m
  - step: confirm
    command: trip.become
    id: {from: /id}
    body: {status: confirmed}
`

// TestSagaAsText: an App runs a definition as text like one in Go, with its commands made of JSON.
func TestSagaAsText(t *testing.T) {
	t.Parallel()
	b := new(bank)
	do := func(f func(context.Context, string, int64) error) sagas.Function {
		return sagas.FunctionOf(func(ctx context.Context, c sagas.Call, d tripData) (any, error) { return nil, f(ctx, c.Key, d.Price) })
	}
	s, err := sagas.Parse([]byte(bookingAsText), sagas.Registry{Functions: map[string]sagas.Function{"pay": do(b.pay), "refund": do(b.refund)}})
	if err != nil {
		t.Fatal(err)
	}
	x := apptest.New(t, tripsApp(s))
	for id, price := range map[string]int64{"good": 100, "unlucky": 13} {
		if err := x.Do("trip.book", id, book{Price: price}); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, x)
	x.Advance(21 * time.Minute)
	deliver(t, x)
	for id, want := range map[string]struct {
		row, trip string
		calls     []string
	}{
		"good":    {"completed", "confirmed", []string{"pay"}},
		"unlucky": {"failed", "released", []string{"pay", "refund"}},
	} {
		if got := row(t, x, id); got != want.row || x.State("trip-"+id).(trip).Status != want.trip || !slices.Equal(b.of(id), want.calls) {
			t.Errorf("%s is %s with %+v after the calls %q, want %+v", id, got, x.State("trip-"+id), b.of(id), want)
		}
	}
}
