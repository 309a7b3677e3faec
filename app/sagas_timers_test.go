package app_test

import (
	"strings"
	"testing"
	"time"

	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/sagas"
)

// TestTimersThatPanic are errors, and hold up no others.
func TestTimersThatPanic(t *testing.T) {
	t.Parallel()
	s := sagas.Define("booking", 1, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID, Price: e.Price} })
		s.Wait("nap", time.Hour)
		s.Choose("which", sagas.When("cheap", func(d tripData) bool {
			if d.Price == 13 {
				panic("no trip costs 13")
			}
			return true
		}, func(s *sagas.Steps[tripData]) { s.Wait("rest", time.Hour) }))
	})
	x := apptest.New(t, tripsApp(s))
	for id, price := range map[string]int64{"good": 100, "unlucky": 13} {
		if err := x.Do("trip.book", id, book{Price: price}); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, x)
	x.Advance(61 * time.Minute)
	err := x.Deliver()
	if err == nil || !strings.Contains(err.Error(), "instance unlucky, step nap: panic: no trip costs 13") {
		t.Errorf("timers are told with %v, want the panic", err)
	}
	for id, want := range map[string]string{"good": "running rest", "unlucky": "running nap"} {
		if got := row(t, x, id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
}

// TestTimersOfPausedSagas do not come, and come when the saga goes on.
func TestTimersOfPausedSagas(t *testing.T) {
	t.Parallel()
	x := apptest.Postgres(t, tripsApp(booking(new(bank))))
	if err := x.Do("trip.book", "one", book{Price: 100}); err != nil {
		t.Fatal(err)
	}
	deliver(t, x)
	steer := func(do sagas.Steering) {
		t.Helper()
		if _, err := x.Service.SagaAdmin().Steer(t.Context(), "booking", do, "test", "ops"); err != nil {
			t.Fatal(err)
		}
	}
	steer(sagas.PauseAll)
	for end := time.Now().Add(30 * time.Second); x.Service.Deliverer.Owns(sagas.StepsName("booking"), 0) && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
	x.Advance(2 * time.Hour)
	_, before, _ := x.Service.Sagas.Load(t.Context(), "booking", "one")
	if err := x.Service.FireTimers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, after, _ := x.Service.Sagas.Load(t.Context(), "booking", "one"); after != before {
		t.Errorf("it goes from version %d to %d while it is paused", before, after)
	}
	steer(sagas.ResumeAll)
	deliver(t, x)
	if got := row(t, x, "one"); got != "failed" {
		t.Errorf("it is %s when it has gone on, want failed", got)
	}
}
