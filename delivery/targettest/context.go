package targettest

import (
	"context"
	"time"

	"github.com/57528e99/recount/delivery"
)

var contextClauses = []clause{
	{"delivers nothing if its context has ended", nil, refusesEndedContext},
	{"returns soon after its context has ended", answers, returnsSoon},
	{"delivers nothing more after it has returned", answers, endsWhenItReturns},
}

func answers(f *Fixture) bool { return !f.Stores }

func refusesEndedContext(r *run) {
	ctx, cancel := context.WithCancel(r.Context())
	cancel()
	e := r.event("1")
	if err := r.tryIn(ctx, attempt(e)); err == nil {
		r.Fatalf("Deliver returns nil although its context had ended")
	}
	r.settle()
	if n := len(r.came(e.MessageID)); n != 0 {
		r.Fatalf("the event came %d times although the context of Deliver had ended", n)
	}
}

// stuck delivers to a receiver that does not answer, ends the context when the first of the events is there, and
// returns when Deliver does.
func (r *run) stuck(events ...delivery.Event) {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	here, release := make(chan struct{}, len(events)), make(chan struct{})
	// What waits at the receiver must not outlive the clause.
	defer close(release)
	r.answers(func(ctx context.Context, _ []Arrival) Answer {
		select {
		case here <- struct{}{}:
		default:
		}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return Answer{Outcome: delivery.Transient}
	})
	returned := make(chan error, 1)
	go func() { returned <- r.Target.Deliver(ctx, attempt(events...)) }()
	select {
	case <-here:
	case err := <-returned:
		r.Fatalf("Deliver returns %v although the receiver has not answered", err)
	case <-time.After(patience):
		r.Fatalf("nothing came within %s", patience)
	}
	cancel()
	select {
	case err := <-returned:
		if err == nil {
			r.Fatalf("Deliver returns nil although the receiver has not answered when its context ends")
		}
		if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.Transient {
			r.Fatalf("the context of Deliver has ended, and its error means %s: %v", outcome, err)
		}
	case <-time.After(patience):
		r.Fatalf("Deliver does not return within %s after its context has ended", patience)
	}
}

func returnsSoon(r *run) { r.stuck(r.event("1")) }

func endsWhenItReturns(r *run) {
	batch := r.batch(3, true)
	r.stuck(batch...)
	before := len(r.came())
	r.settle()
	for _, e := range batch {
		if n := len(r.came(e.MessageID)); n > 1 {
			r.Fatalf("the event at position %d came %d times", e.Position, n)
		}
	}
	if after := len(r.came()) - 1; after != before {
		r.Fatalf("%d more events came after Deliver had returned", after-before)
	}
}
