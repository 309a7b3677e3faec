package app_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/sagas"
)

// trip is an aggregate that the saga of the tests books, and undoes.
type trip struct {
	Price  int64
	Status string
}

type tripEvent interface{ Evolve(trip) trip }

type tripBooked struct {
	ID    string `json:"id"`
	Price int64  `json:"price"`
}

func (e tripBooked) Evolve(trip) trip { return trip{e.Price, "booked"} }

type tripApproved struct {
	ID string `json:"id"`
	By string `json:"by"`
}

func (e tripApproved) Evolve(t trip) trip { return t }

// tripBecame is for what the saga does.
type tripBecame struct {
	Status string `json:"status"`
}

func (e tripBecame) Evolve(t trip) trip { t.Status = e.Status; return t }

type book struct {
	ID    string `json:"id" app:"id"`
	Price int64  `json:"price"`
}

func (c book) Decide(trip) ([]tripEvent, error) { return []tripEvent{tripBooked(c)}, nil }

type approve struct {
	ID string `json:"-" app:"id"`
	By string `json:"by" app:"actor"`
}

func (c approve) Decide(trip) ([]tripEvent, error) { return []tripEvent{tripApproved(c)}, nil }

type become struct {
	Status string `json:"status"`
}

var errUnlucky = errors.New("no trip costs 13")

func (c become) Decide(t trip) ([]tripEvent, error) {
	if t.Price == 13 && c.Status == "confirmed" {
		return nil, errUnlucky
	}
	return []tripEvent{tripBecame(c)}, nil
}

// bank is somebody else, who takes money once for each key.
type bank struct {
	mu    sync.Mutex
	calls []string
	// fails is how often it does not answer.
	fails int
}

func (b *bank) pay(_ context.Context, key string, _ int64) error    { return b.call("pay", key) }
func (b *bank) refund(_ context.Context, key string, _ int64) error { return b.call("refund", key) }

func (b *bank) call(what, key string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fails > 0 {
		b.fails--
		return errors.New("the bank does not answer")
	}
	id, _, _ := strings.Cut(strings.TrimPrefix(key, "booking-"), "/")
	b.calls = append(b.calls, what+" "+id)
	return nil
}

func (b *bank) of(id string) (calls []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.calls {
		if what, of, _ := strings.Cut(c, " "); of == id {
			calls = append(calls, what)
		}
	}
	return calls
}

func tripsApp(all ...*sagas.Saga) app.App {
	return app.App{Name: "travel", Modules: []app.Module{{
		Name: "trips",
		Aggregates: []app.Aggregate{app.NewAggregate[trip, tripEvent]("trip", "/v1/trips").
			Events(app.Event[tripBooked]("TripBooked", 1), app.Event[tripApproved]("TripApproved", 1), app.Event[tripBecame]("TripBecame", 1)).
			Commands(app.Create[book]("book"), app.Do[approve]("approve"), app.Do[become]("become", app.Internal))},
		Sagas: all,
	}}}
}

// onBoth runs a test in memory and on PostgreSQL.
func onBoth(t *testing.T, f func(t *testing.T, run func(testing.TB, app.App) *apptest.Test)) {
	for kind, run := range map[string]func(testing.TB, app.App) *apptest.Test{"memory": apptest.New, "postgres": apptest.Postgres} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			f(t, run)
		})
	}
}

// row is what lists say of an instance.
func row(t *testing.T, x *apptest.Test, id string) string {
	t.Helper()
	r, _ := apptest.Row(x, sagas.Instances, sagas.InstanceKey{Saga: "booking", ID: id})
	return strings.TrimSuffix(fmt.Sprintf("%s %s", r.Status, r.Step), " ")
}

func deliver(t *testing.T, x *apptest.Test) {
	t.Helper()
	if err := x.Deliver(); err != nil {
		t.Fatal(err)
	}
}

// TestSagas lets several instances come to each end, side by side.
func TestSagas(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, run func(testing.TB, app.App) *apptest.Test) {
		b := new(bank)
		x := run(t, tripsApp(booking(b)))
		for id, price := range map[string]int64{"good": 100, "unlucky": 13, "late": 100, "cancelled": 100} {
			if err := x.Do("trip.book", id, book{Price: price}); err != nil {
				t.Fatal(err)
			}
		}
		deliver(t, x)
		for _, id := range []string{"good", "unlucky", "late", "cancelled"} {
			if got := row(t, x, id); got != "running approval" || x.State("trip-"+id).(trip).Status != "reserved" {
				t.Errorf("%s is %s with %+v, want that it waits for the approval", id, got, x.State("trip-"+id))
			}
		}
		for _, id := range []string{"good", "unlucky"} {
			if err := x.Do("trip.approve", id, approve{By: "ann"}); err != nil {
				t.Fatal(err)
			}
		}
		act := sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Cancel, Actor: "ops", Reason: "the customer called"}}
		if _, err := x.Service.Sagas.Do(t.Context(), "booking", "cancelled", act, commands.Options{}); err != nil {
			t.Fatal(err)
		}
		deliver(t, x)
		if got := row(t, x, "good"); got != "running cool-off" {
			t.Errorf("good is %s, want that it waits", got)
		}
		x.Advance(21 * time.Minute)
		deliver(t, x)
		x.Advance(time.Hour)
		deliver(t, x)
		for id, want := range map[string]struct {
			row, trip, code string
			calls           []string
		}{
			"good":      {"completed", "confirmed", "", []string{"pay"}},
			"unlucky":   {"failed", "released", sagas.CodeRejected, []string{"pay", "refund"}},
			"late":      {"failed", "released", sagas.CodeDeadline, []string{"pay", "refund"}},
			"cancelled": {"cancelled", "released", sagas.CodeCancelled, []string{"pay", "refund"}},
		} {
			i, _, err := x.Service.Sagas.Load(t.Context(), "booking", id)
			if err != nil {
				t.Fatal(err)
			}
			if got := row(t, x, id); got != want.row || i.Code != want.code || x.State("trip-"+id).(trip).Status != want.trip || !slices.Equal(b.of(id), want.calls) {
				t.Errorf("%s is %s (%s) with %+v after the calls %q, want %+v", id, got, i.Code, x.State("trip-"+id), b.of(id), want)
			}
		}
		if timers := apptest.Rows(x, sagas.Timers); len(timers) > 0 {
			t.Errorf("timers are left behind the end: %+v", timers)
		}
	})
}
