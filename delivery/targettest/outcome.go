package targettest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
)

var outcomeClauses = []clause{
	{"says what the receiver said", func(f *Fixture) bool { return len(f.Says) > 0 }, saysOutcome},
	{"says for how long the receiver takes nothing", func(f *Fixture) bool { return f.SaysHowLong }, saysHowLong},
	{"says which events of a batch were not taken", func(f *Fixture) bool { return f.SaysWhich && severalEvents(f) }, saysWhich},
	{"does not try again by itself", func(f *Fixture) bool { return len(f.Says) > 0 }, triesOnce},
}

// answerEach answers to what came one by one, for receivers of one event.
func answerEach(answer func(Arrival) Answer) func(context.Context, []Arrival) Answer {
	return func(_ context.Context, came []Arrival) Answer {
		for _, a := range came {
			if said := answer(a); said.Outcome != delivery.Done {
				return said
			}
		}
		return Answer{}
	}
}

func saysOutcome(r *run) {
	for _, outcome := range r.Says {
		for _, batch := range [][]delivery.Event{r.batch(1, false), r.batch(5, false)} {
			r.says(Answer{Outcome: outcome})
			err := r.try(batch...)
			if err == nil {
				r.Fatalf("the receiver says %s, and Deliver returns nil", outcome)
			}
			var partial *delivery.PartialError
			if errors.As(err, &partial) {
				if len(partial.Failed) != len(batch) {
					r.Fatalf("the receiver says %s of all of %d events, and Deliver that %d failed", outcome, len(batch), len(partial.Failed))
				}
				for _, err := range partial.Failed {
					r.wantOutcome(err, outcome)
				}
			} else {
				r.wantOutcome(err, outcome)
			}
			// It goes on when the receiver does.
			r.answers(nil)
			r.deliver(batch...)
		}
	}
}

func saysHowLong(r *run) {
	for _, after := range []time.Duration{0, time.Second, time.Hour} {
		r.says(Answer{Outcome: delivery.ThrottledOutcome, After: after})
		if got := r.wantOutcome(r.try(r.event("1")), delivery.ThrottledOutcome); got != after {
			r.Fatalf("the receiver says that it takes nothing for %s, and Deliver says %s", after, got)
		}
	}
}

func saysWhich(r *run) {
	batch := r.batch(10, false)
	for _, failed := range [][]int{{0}, {9}, {2, 3, 7}, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}} {
		var ids []uuid.UUID
		for _, i := range failed {
			ids = append(ids, batch[i].MessageID)
		}
		r.answers(func(_ context.Context, came []Arrival) (a Answer) {
			for _, arrival := range came {
				if slices.Contains(ids, arrival.MessageID) {
					a.Failed = append(a.Failed, arrival.MessageID)
				}
			}
			return a
		})
		err := r.try(batch...)
		var partial *delivery.PartialError
		if !errors.As(err, &partial) {
			r.Fatalf("the receiver did not take the events %d of a batch, and Deliver returns %v, want a *delivery.PartialError", failed, err)
		}
		if len(partial.Failed) != len(failed) {
			r.Fatalf("the receiver did not take the events %d of a batch, and Deliver says %v", failed, partial.Failed)
		}
		for _, i := range failed {
			if outcome, _ := delivery.OutcomeOf(partial.Failed[i]); outcome == delivery.Done {
				r.Fatalf("the receiver did not take the events %d of a batch, and Deliver says %v", failed, partial.Failed)
			}
		}
	}
}

// Who counts attempts, and waits between them, is the one who calls.
func triesOnce(r *run) {
	for _, outcome := range r.Says {
		r.says(Answer{Outcome: outcome})
		e := r.event(`"once"`)
		if err := r.try(e); err == nil {
			r.Fatalf("the receiver says %s, and Deliver returns nil", outcome)
		}
		r.settle()
		r.wantOnce(e)
	}
}
