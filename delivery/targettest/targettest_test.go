package targettest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/internal/suitetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broken is a target that calls its receiver, and whose parts a fault can replace.
type broken struct {
	*Fixture
	deliver func(context.Context, *delivery.Delivery) error
	arrival func(*delivery.Delivery, delivery.Event) Arrival
	err     func([]Arrival, Answer) error
}

func newBroken() *broken {
	b := &broken{arrival: arrivalOf, err: errorOf}
	b.deliver = b.whole
	b.Fixture = &Fixture{
		Target: targetFunc(func(ctx context.Context, d *delivery.Delivery) error { return b.deliver(ctx, d) }),
		Says: []delivery.Outcome{
			delivery.Transient, delivery.PermanentFailure, delivery.ThrottledOutcome, delivery.GoneOutcome, delivery.StopOutcome, delivery.Undecodable,
		},
		SaysHowLong: true, SaysWhich: true, Marks: true,
	}
	return b
}

type targetFunc func(context.Context, *delivery.Delivery) error

func (f targetFunc) Deliver(ctx context.Context, d *delivery.Delivery) error { return f(ctx, d) }

// whole is the target without a fault.
func (b *broken) whole(ctx context.Context, d *delivery.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	came := make([]Arrival, len(d.Events))
	for i, e := range d.Events {
		came[i] = b.arrival(d, e)
	}
	return b.err(came, b.Receive(ctx, came))
}

func arrivalOf(d *delivery.Delivery, e delivery.Event) Arrival {
	return Arrival{
		MessageID: e.MessageID, Type: e.Type, Data: e.Data, Subscription: d.Subscription, Position: e.Position,
		Epoch: d.Epoch, Attempt: e.Attempt, Redrive: e.Redrive, Replay: d.Replay,
	}
}

func errorOf(came []Arrival, a Answer) error {
	failed := make(map[int]error)
	for i, arrival := range came {
		if slices.Contains(a.Failed, arrival.MessageID) {
			failed[i] = errors.New("not taken")
		}
	}
	if len(failed) > 0 {
		return &delivery.PartialError{Failed: failed}
	}
	return a.Err()
}

// onDelivery has whole deliver what change makes of it.
func (b *broken) onDelivery(change func(*delivery.Delivery)) {
	b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
		own := *d
		own.Events = slices.Clone(d.Events)
		change(&own)
		return b.whole(ctx, &own)
	}
}

// onData replaces the data that arrives.
func (b *broken) onData(change func([]byte) []byte) {
	b.arrival = func(d *delivery.Delivery, e delivery.Event) Arrival {
		a := arrivalOf(d, e)
		a.Data = change(a.Data)
		return a
	}
}

// fault is something that a target can do wrong, and clauses that must tell.
type fault struct {
	name   string
	plant  func(*broken)
	caught []string
}

var faults = []fault{
	{"delivers nothing", func(b *broken) {
		b.deliver = func(context.Context, *delivery.Delivery) error { return nil }
	}, []string{"delivers an event once, before it returns", "delivers a big event", "says what the receiver said"}},

	{"delivers later", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			go func() {
				time.Sleep(time.Millisecond)
				_ = b.whole(ctx, d)
			}()
			return ctx.Err()
		}
	}, []string{"delivers an event once, before it returns", "keeps nothing of what it was given"}},

	{"delivers twice", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			return errors.Join(b.whole(ctx, d), b.whole(ctx, d))
		}
	}, []string{"delivers an event once, before it returns"}},

	{"delivers once in its life", func(b *broken) {
		var known sync.Map
		b.onDelivery(func(d *delivery.Delivery) {
			d.Events = slices.DeleteFunc(d.Events, func(e delivery.Event) bool {
				_, again := known.LoadOrStore(e.MessageID, true)
				return again
			})
		})
	}, []string{"delivers again what it is told to deliver again"}},

	{"turns a batch around", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) { slices.Reverse(d.Events) })
	}, []string{"delivers all events of a batch in order"}},

	{"delivers the first of a batch", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) { d.Events = d.Events[:1] })
	}, []string{"delivers all events of a batch in order"}},

	{"ends data at a NUL", func(b *broken) {
		b.onData(func(data []byte) []byte {
			if i := slices.Index(data, 0); i >= 0 {
				return data[:i]
			}
			return data
		})
	}, []string{"delivers what is no JSON, empty or odd, byte for byte", "delivers a big event"}},

	{"makes UTF-8 of data", func(b *broken) {
		b.onData(func(data []byte) []byte { return []byte(string([]rune(string(data)))) })
	}, []string{"delivers what is no JSON, empty or odd, byte for byte"}},

	{"delivers no empty data", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) {
			d.Events = slices.DeleteFunc(d.Events, func(e delivery.Event) bool { return len(e.Data) == 0 })
		})
	}, []string{"delivers what is no JSON, empty or odd, byte for byte"}},

	{"cuts data", func(b *broken) {
		b.onData(func(data []byte) []byte { return data[:min(len(data), 64<<10)] })
	}, []string{"delivers a big event"}},

	{"always says that it is the first attempt", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) { d.Events[0].Attempt = 1 })
	}, []string{"delivers what an attempt says beside the event"}},

	{"does not say that it is a replay", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) { d.Replay = "" })
	}, []string{"delivers what an attempt says beside the event"}},

	{"does not say that it is a redrive", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) { d.Events[0].Redrive = false })
	}, []string{"delivers what an attempt says beside the event"}},

	{"gives a caller the result of another", func(b *broken) {
		var mu sync.Mutex
		var last error
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			err := b.whole(ctx, d)
			mu.Lock()
			defer mu.Unlock()
			err, last = last, err
			return err
		}
	}, []string{"delivers for many callers at once, each what it was given"}},

	{"has one memory for all callers", func(b *broken) {
		var mu sync.Mutex
		var shared delivery.Delivery
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			mu.Lock()
			shared = *d
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			own := shared
			mu.Unlock()
			return b.whole(ctx, &own)
		}
	}, []string{"delivers for many callers at once, each what it was given"}},

	{"writes behind the data", func(b *broken) {
		b.onDelivery(func(d *delivery.Delivery) {
			for _, e := range d.Events {
				_ = append(e.Metadata[:len(e.Metadata)-1], ' ')
			}
		})
	}, []string{"leaves what it was given as it is"}},

	{"takes events out of what it was given", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			err := b.whole(ctx, d)
			d.Events = nil
			return err
		}
	}, []string{"leaves what it was given as it is"}},

	{"says nothing but that it failed", func(b *broken) {
		b.err = func(_ []Arrival, a Answer) error {
			if a.Outcome == delivery.Done {
				return nil
			}
			return errors.New("it failed")
		}
	}, []string{"says what the receiver said", "says for how long the receiver takes nothing", "says which events of a batch were not taken"}},

	{"fails for ever after a failure", func(b *broken) {
		var failed error
		b.err = func(came []Arrival, a Answer) error {
			if failed == nil {
				failed = errorOf(came, a)
			}
			return failed
		}
	}, []string{"says what the receiver said"}},

	{"says that one event failed where all did", func(b *broken) {
		b.err = func(came []Arrival, a Answer) error {
			if err := errorOf(came, a); err != nil {
				return &delivery.PartialError{Failed: map[int]error{0: err}}
			}
			return nil
		}
	}, []string{"says what the receiver said"}},

	{"waits as long as it pleases", func(b *broken) {
		b.err = func(came []Arrival, a Answer) error {
			a.After = time.Minute
			return errorOf(came, a)
		}
	}, []string{"says for how long the receiver takes nothing"}},

	{"takes a batch for delivered that is in part", func(b *broken) {
		b.err = func(_ []Arrival, a Answer) error { return a.Err() }
	}, []string{"says which events of a batch were not taken"}},

	{"says that the first events failed", func(b *broken) {
		b.err = func(came []Arrival, a Answer) error {
			for i := range a.Failed {
				a.Failed[i] = came[i].MessageID
			}
			err := errorOf(came, a)
			var partial *delivery.PartialError
			if errors.As(err, &partial) {
				partial.Failed[len(partial.Failed)-1] = nil
			}
			return err
		}
	}, []string{"says which events of a batch were not taken"}},

	{"tries again", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) (err error) {
			for range 3 {
				if err = b.whole(ctx, d); err == nil {
					return nil
				}
			}
			return err
		}
	}, []string{"does not try again by itself"}},

	{"tries again later", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			err := b.whole(ctx, d)
			if err != nil {
				go func() {
					time.Sleep(time.Millisecond)
					_ = b.whole(context.WithoutCancel(ctx), d)
				}()
			}
			return err
		}
	}, []string{"does not try again by itself", "delivers nothing more after it has returned"}},

	{"does not look at its context", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error { return b.whole(context.WithoutCancel(ctx), d) }
	}, []string{"delivers nothing if its context has ended", "returns soon after its context has ended"}},

	{"takes the end of its context for success", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			if err := b.whole(ctx, d); ctx.Err() == nil {
				return err
			}
			return nil
		}
	}, []string{"delivers nothing if its context has ended", "returns soon after its context has ended"}},

	{"goes on with the batch when its context has ended", func(b *broken) {
		b.deliver = func(ctx context.Context, d *delivery.Delivery) error {
			ended := ctx.Err()
			for _, e := range d.Events {
				own := *d
				own.Events = []delivery.Event{e}
				if err := b.whole(ctx, &own); err != nil {
					ended = err
					ctx = context.WithoutCancel(ctx)
				}
			}
			return ended
		}
	}, []string{"delivers nothing more after it has returned"}},
}

func failuresOf(t *testing.T, c clause, plant func(*broken)) []string {
	return suitetest.Failures(t, func(r *suitetest.Recorder) {
		b := newBroken()
		plant(b)
		c.run(newRun(r, b.Fixture))
	})
}

func TestFaultsAreCaught(t *testing.T) {
	for _, fault := range faults {
		t.Run(fault.name, func(t *testing.T) {
			t.Parallel()
			for _, name := range fault.caught {
				i := slices.IndexFunc(clauses, func(c clause) bool { return c.name == name })
				if i < 0 {
					t.Fatalf("there is no clause %q", name)
				}
				suitetest.CheckFailures(t, name, failuresOf(t, clauses[i], fault.plant))
			}
		})
	}
}

// A clause that no fault can fail proves nothing.
func TestEveryClauseCatchesAFault(t *testing.T) {
	for _, c := range clauses {
		if !slices.ContainsFunc(faults, func(f fault) bool { return slices.Contains(f.caught, c.name) }) {
			t.Errorf("no fault is planted that the clause %q must catch", c.name)
		}
	}
}

// Without a fault, what the faults are planted in passes, whatever it can do.
func TestBrokenIsWhole(t *testing.T) {
	for _, plant := range []func(*broken){
		func(*broken) {},
		func(b *broken) { b.MaxEvents = 1 },
		func(b *broken) { b.Says, b.SaysWhich = nil, false },
	} {
		for _, c := range clauses {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				probe := newBroken()
				plant(probe)
				if c.needs != nil && !c.needs(probe.Fixture) {
					return
				}
				for _, failure := range failuresOf(t, c, plant) {
					t.Error(failure)
				}
			})
		}
	}
}
