package app_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/57528e99/recount/app"
	"github.com/57528e99/recount/app/apptest"
	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/projections"
)

// purseFold finds purses that were filled and not emptied.
type purseFold map[string]app.Unsettled

func (f purseFold) Apply(event any, at projections.Recorded) {
	switch event.(type) {
	case filled:
		f[at.Stream] = app.Unsettled{Subject: at.Stream, What: "balance", Expected: "0", Found: "more", Positions: []int64{at.Position}, Since: at.RecordedAt}
	case taken:
		delete(f, at.Stream)
	}
}

func (f purseFold) Unsettled() iter.Seq[app.Unsettled] {
	return func(yield func(app.Unsettled) bool) {
		for _, o := range f {
			if !yield(o) {
				return
			}
		}
	}
}

func (f purseFold) Counts() []app.InvariantCount {
	return []app.InvariantCount{{Of: "full", N: int64(len(f))}}
}

// TestVerifyTellsWhatIsWrongFromWhatIsUnderWay, and what was handed over from what is dead.
func TestVerifyTellsWhatIsWrongFromWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	handler := delivery.Handle("purse-mails", func(_ context.Context, _ filled, at delivery.Event) error {
		if at.Stream == "purse-bad" {
			return delivery.Permanent(errors.New("it cannot be told"))
		}
		return nil
	})
	all := app.NewAggregate[purse, purseEvent]("purse", "/v1/purses").
		Events(app.Event[filled]("PurseFilled", 1), app.Event[taken]("PurseTaken", 1)).Commands(app.Do[fill]("fill"), app.Do[take]("take"))
	x := apptest.Postgres(t, app.App{Name: "wallet", Modules: []app.Module{{
		Name: "purses", Aggregates: []app.Aggregate{all}, Subscriptions: []delivery.Subscription{{Handler: handler}},
		Invariants: []app.Invariant{{Name: "purses", Holds: "what was filled is emptied", New: func() app.InvariantFold { return make(purseFold) }}},
	}}})
	do := func(name, id string, command any) {
		t.Helper()
		if err := x.Do(name, id, command); err != nil {
			t.Fatal(err)
		}
	}
	do("purse.fill", "bad", fill{Amount: 1})
	for n := 0; ; n++ { // that others are told shows that it is no fault of who tells them
		id := fmt.Sprint("good-", n)
		do("purse.fill", id, fill{Amount: 1})
		do("purse.take", id, take{Amount: 1})
		if s, err := x.Service.Subscriptions.Get(t.Context(), "purse-mails"); err != nil || s.Dead > 0 {
			break
		}
	}
	verify := func(after time.Duration) (underWay int64, found []string) {
		t.Helper()
		v, err := x.Service.Verify(t.Context(), app.VerifyOptions{Within: time.Minute, Now: func() time.Time { return time.Now().Add(after) }})
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range v.Invariants {
			for _, f := range i.Findings {
				found = append(found, fmt.Sprintf("%s: %s %s: %s %v", i.Name, f.Subject, f.What, f.Found, f.Positions))
			}
		}
		if v.OK() != (len(found) == 0) {
			t.Errorf("OK is %v with %q", v.OK(), found)
		}
		return v.Invariants[0].UnderWay, found
	}
	dead := "subscriptions: subscription purse-mails PurseFilled of purse-bad: dead: it cannot be told [1]"
	if underWay, found := verify(0); underWay != 1 || !slices.Equal(found, []string{dead}) {
		t.Errorf("%d are under way and it finds %q, want one and %q", underWay, found, dead)
	}
	if err := x.Service.Subscriptions.Delete(t.Context(), "purse-mails", 0, true, "ann"); err != nil {
		t.Fatal(err)
	}
	dead = "subscriptions: subscription purse-mails existence: deleted []"
	want := []string{"purses: purse-bad balance: more [1]", dead}
	if underWay, found := verify(2 * time.Minute); underWay != 0 || !slices.Equal(found, want) {
		t.Errorf("%d are under way and it finds %q, want none and %q", underWay, found, want)
	}
}
