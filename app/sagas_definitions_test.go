package app_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/sagas"
)

// shorter is the next version of booking, which neither asks for money nor waits.
func shorter() *sagas.Saga {
	return sagas.Define("booking", 2, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID, Price: e.Price} })
		sagas.Receive(s, "approval", func(e tripApproved) string { return e.ID }, nil)
		s.Command("confirm", becomes("confirmed"))
	})
}

// TestSagasGoOnInAnotherProcess: an instance goes on by its version where another process has that, while new ones begin by the newest.
func TestSagasGoOnInAnotherProcess(t *testing.T) {
	t.Parallel()
	ctx, db, b := t.Context(), pgtest.New(t), new(bank)
	open := func(all ...*sagas.Saga) (*app.Service, func()) {
		t.Helper()
		s, err := app.Open(ctx, tripsApp(all...), app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8})
		if err == nil {
			err = s.Start(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		stop := sync.OnceFunc(func() {
			if err := s.Close(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		})
		t.Cleanup(stop)
		return s, stop
	}
	await := func(s *app.Service, id string, want string) {
		t.Helper()
		var i sagas.Instance
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			if i, _, _ = s.Sagas.Load(ctx, "booking", id); i.Status == sagas.Completed || len(i.Steps) > 0 && i.Steps[len(i.Steps)-1].Name == want {
				return
			}
		}
		t.Fatalf("%s has not come to %s: %+v", id, want, i)
	}
	run := func(s *app.Service, name, id string, command any) {
		t.Helper()
		if _, err := s.Do(ctx, name, id, command, commands.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	first, stop := open(booking(b))
	run(first, "trip.book", "old", book{Price: 100})
	await(first, "old", "approval")
	stop()

	second, _ := open(shorter()) // has all partitions by the time that the third is there
	run(second, "trip.book", "new", book{Price: 100})
	await(second, "new", "approval")
	third, _ := open(booking(b), shorter())
	run(second, "trip.approve", "old", approve{By: "ann"})
	await(third, "old", "cool-off")
	if calls := b.of("old"); !slices.Equal(calls, []string{"pay"}) {
		t.Errorf("the bank was asked for %q, want to pay once", calls)
	}

	// What a newer version waits for stays in the filter when an older one starts, and goes when the newest has done with it.
	filter := func(s *app.Service) string {
		t.Helper()
		d, err := s.Subscriptions.Get(ctx, sagas.TriggersName("booking"))
		if err != nil {
			t.Fatal(err)
		}
		return string(d.Definition.Filter)
	}
	waitsFor := func(version int, more func(*sagas.Steps[tripData])) *sagas.Saga {
		return sagas.Define("booking", version, func(s *sagas.Steps[tripData]) {
			sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID} })
			more(s)
		})
	}
	became := func(s *sagas.Steps[tripData]) {
		sagas.Receive(s, "became", func(tripBecame) string { return "" }, nil)
	}
	const narrow, wide = `{"type":["TripApproved","TripBooked"]}`, `{"type":["TripApproved","TripBecame","TripBooked"]}`
	_, stopFourth := open(waitsFor(3, became))
	stopFourth()
	if got := filter(third); got != `{"type":["TripBecame","TripBooked"]}` {
		t.Errorf("by version 3 the filter is %s", got)
	}
	_, stopFifth := open(shorter())
	stopFifth()
	if got := filter(third); got != wide {
		t.Errorf("after a start of version 2 the filter is %s, want %s", got, wide)
	}
	_, stopSixth := open(shorter(), waitsFor(4, func(s *sagas.Steps[tripData]) { s.Wait("nap", time.Hour) }))
	stopSixth()
	if got := filter(third); got != narrow {
		t.Errorf("by version 4 the filter is %s, want %s", got, narrow)
	}
}

// TestVersionsOfSagasDiffer: where versions differ in which instance an event is about, each instance is told what its own version says.
func TestVersionsOfSagasDiffer(t *testing.T) {
	t.Parallel()
	nap := func(version int, prefix string) *sagas.Saga {
		return sagas.Define("booking", version, func(s *sagas.Steps[tripData]) {
			sagas.StartWith(s, func(e tripBooked) (string, tripData) { return prefix + e.ID, tripData{ID: e.ID} })
			sagas.Receive(s, "approval", func(e tripApproved) string { return prefix + e.ID }, func(d *tripData, e tripApproved) { d.Approved = e.By })
		})
	}
	x := apptest.New(t, tripsApp(nap(1, ""), nap(2, "trip-")))
	for _, in := range []sagas.Input{sagas.Begin{ID: "a"}, sagas.Intervene{Intervened: sagas.Intervened{Act: sagas.Migrate, Version: 1, Reason: "test"}}} {
		if _, err := x.Service.Sagas.Do(t.Context(), "booking", "a", in, commands.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, do := range []func() error{
		func() error { return x.Do("trip.book", "a", book{}) }, func() error { return x.Do("trip.approve", "a", approve{By: "ann"}) },
		func() error { return x.Do("trip.book", "b", book{}) }, func() error { return x.Do("trip.approve", "b", approve{By: "bob"}) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, x)
	for id, want := range map[string]string{"a": `1 completed "ann"`, "trip-a": `2 completed "ann"`, "b": "0  ", "trip-b": `2 completed "bob"`} {
		i, _, err := x.Service.Sagas.Load(t.Context(), "booking", id)
		if got := fmt.Sprintf("%d %s %s", i.Version, i.Status, i.Data["approved"]); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", id, got, err, want)
		}
	}
}

// TestVersionsBeginWithDifferentEvents: an instance begins with what its version says, not another one.
func TestVersionsBeginWithDifferentEvents(t *testing.T) {
	t.Parallel()
	x := apptest.New(t, tripsApp(sagas.Define("booking", 1, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripBooked) (string, tripData) { return e.ID, tripData{ID: e.ID} })
		s.Wait("nap", time.Hour)
	}), sagas.Define("booking", 2, func(s *sagas.Steps[tripData]) {
		sagas.StartWith(s, func(e tripApproved) (string, tripData) { return e.ID, tripData{ID: e.ID} })
		s.Wait("nap", time.Hour)
	})))
	for _, do := range []func() error{
		func() error { return x.Do("trip.book", "a", book{}) }, func() error { return x.Do("trip.book", "b", book{}) },
		func() error { return x.Do("trip.approve", "b", approve{By: "bob"}) },
	} {
		if err := do(); err != nil {
			t.Fatal(err)
		}
	}
	deliver(t, x)
	for id, version := range map[string]int{"a": 0, "b": 2} {
		if i, _, err := x.Service.Sagas.Load(t.Context(), "booking", id); err != nil || i.Version != version {
			t.Errorf("the instance %s is of version %d (%v), want %d", id, i.Version, err, version)
		}
	}
}
