package app_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/commands"
	"github.com/57528e99/recount/internal/pgtest"
	"github.com/57528e99/recount/sagas"
)

// TestTimersFireWhereTheirVersionIs: a deadline passes though the process that is to tell instances of it lacks their version of the
// definition, if another one has it.
func TestTimersFireWhereTheirVersionIs(t *testing.T) {
	t.Parallel()
	began := time.Now()
	ctx, db, b := t.Context(), pgtest.New(t), new(bank)
	var ahead atomic.Int64
	open := func(all ...*sagas.Saga) *app.Service {
		t.Helper()
		s, err := app.Open(ctx, tripsApp(all...), app.Options{DSN: db.DSN, Schema: db.Schema, MaxConns: 8,
			Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
		if err == nil {
			err = s.Start(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(context.WithoutCancel(ctx)); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	until := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				if os.Getenv("RECOUNT_TRIAL_MUTANT") != "" {
					fmt.Printf("caught\t%s\t%d\ta timer fires where its version is\n", t.Name(), time.Since(began).Milliseconds())
				}
				t.Fatalf("after 30 s it is not so: %s", what)
			}
		}
	}
	has := func(s *app.Service) bool { return s.Deliverer.Owns(sagas.StepsName("booking"), 0) }
	is := func(s *app.Service, status sagas.StepStatus) func() bool {
		return func() bool {
			i, _, _ := s.Sagas.Load(ctx, "booking", "late")
			step, _ := i.Step("approval")
			return step.Status == status
		}
	}
	first := open(booking(b))
	if _, err := first.Do(ctx, "trip.book", "late", book{Price: 100}, commands.Options{}); err != nil {
		t.Fatal(err)
	}
	until("it waits for the approval", is(first, sagas.Open))
	if err := first.Close(ctx); err != nil {
		t.Fatal(err)
	}
	lacks := open(shorter())
	until("the one that lacks the version has the first partition", func() bool { return has(lacks) })
	knows := open(booking(b), shorter())
	// Else it might be given the first partition.
	if _, err := db.Pool.Exec(ctx, `
UPDATE `+db.Schema+`.subscription_members SET aside = (SELECT array_agg(id) FROM `+db.Schema+`.subscriptions)
WHERE id = (SELECT max(id) FROM `+db.Schema+`.subscription_members)`); err != nil {
		t.Fatal(err)
	}
	until("only the one that lacks the version has it", func() bool { return has(lacks) && !has(knows) })
	ahead.Store(int64(2 * time.Hour))
	until("the deadline has passed", is(knows, sagas.NotDone))
}
