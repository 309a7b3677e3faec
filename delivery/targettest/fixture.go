package targettest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

// Fixture is a target and the receiver behind it.
type Fixture struct {
	Target delivery.Target
	// Receive is set by Run before anything is delivered, and then called by the receiver whenever something
	// comes, from several goroutines: the receiver answers as it returns. It returns when the ctx ends.
	Receive func(context.Context, []Arrival) Answer

	// Says are the outcomes but Done that the receiver has a way to say, for all events of an attempt.
	Says []delivery.Outcome
	// SaysHowLong: it can say for how long nothing is to come, in whole seconds.
	SaysHowLong bool
	// SaysWhich: it can say which events of several it did not take.
	SaysWhich bool
	// Marks: it gets what Arrival has beside the event.
	Marks bool
	// Stores: it is a broker, which keeps what comes and answers by itself. Receive is called when it is looked at.
	Stores bool
	// Remembers: it does not take again what it has.
	Remembers bool
	// MaxEvents is how many events an attempt may have. 0: as many as there are.
	MaxEvents int
}

// Arrival is an event as it came to the receiver.
type Arrival struct {
	MessageID uuid.UUID
	Type      string
	Data      []byte

	// The rest is there if the Fixture says Marks.
	Subscription string
	Position     int64
	Epoch        int64
	Attempt      int
	Redrive      bool
	Replay       string
}

// Answer is what the receiver says to what came together.
type Answer struct {
	// Outcome is of all that came.
	Outcome delivery.Outcome
	// After goes with delivery.ThrottledOutcome.
	After time.Duration
	// Failed are those that were not taken, with delivery.Done.
	Failed []uuid.UUID
}

// Err returns what a target that is a Go function says.
func (a Answer) Err() error {
	err := errors.New("the receiver did not take it")
	switch a.Outcome {
	case delivery.Done:
		return nil
	case delivery.PermanentFailure:
		return delivery.Permanent(err)
	case delivery.ThrottledOutcome:
		return delivery.Throttled(err, a.After)
	case delivery.GoneOutcome:
		return delivery.Gone(err)
	case delivery.StopOutcome:
		return delivery.Stop(err)
	case delivery.Undecodable:
		return fmt.Errorf("%w: %w", err, eventstore.ErrUnknownType)
	}
	return err
}

// patience is how long a clause waits for what must come.
const patience = 20 * time.Second

// run is a fixture, and the test that it is in.
type run struct {
	T
	*Fixture

	mu      sync.Mutex
	arrived []Arrival
	answer  func(context.Context, []Arrival) Answer
	events  int64
}

func newRun(t T, f *Fixture) *run {
	r := &run{T: t, Fixture: f}
	f.Receive = func(ctx context.Context, came []Arrival) Answer {
		r.mu.Lock()
		for _, a := range came {
			a.Data = bytes.Clone(a.Data)
			r.arrived = append(r.arrived, a)
		}
		answer := r.answer
		r.mu.Unlock()
		if answer == nil {
			return Answer{}
		}
		return answer(ctx, came)
	}
	return r
}

// answers sets how the receiver answers from now on; nil: it takes everything.
func (r *run) answers(answer func(context.Context, []Arrival) Answer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// says has the receiver give one answer from now on.
func (r *run) says(a Answer) { r.answers(func(context.Context, []Arrival) Answer { return a }) }

// came returns what has arrived, of one event if an id is given.
func (r *run) came(of ...uuid.UUID) (came []Arrival) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, a := range r.arrived {
		if len(of) == 0 || slices.Contains(of, a.MessageID) {
			came = append(came, a)
		}
	}
	return came
}

var log = uuid.MustParse("6f1e6a7e-3c0b-4b55-9a0b-5a8f1d6f2a11")

// event returns the next event of the log.
func (r *run) event(data string) delivery.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	position := r.events + 1
	r.events = position
	e := &eventstore.RecordedEvent{
		Event: eventstore.Event{
			ID: uuid.New(), Type: "Happened", SchemaVersion: 1, ContentType: eventstore.ContentTypeJSON, Data: []byte(data),
			Metadata: []byte(`{"correlation_id":"c-1"}`),
		},
		Stream: fmt.Sprintf("order-%d", position), Position: position, AppendEnd: position,
		RecordedAt: time.Date(2026, 1, 2, 15, 4, 5, 123456000, time.UTC).Add(time.Duration(position) * time.Second),
	}
	return delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(log, e), Key: e.Stream, Attempt: 1}
}

// numbered returns n events.
func (r *run) numbered(n int) []delivery.Event {
	list := make([]delivery.Event, n)
	for i := range list {
		list[i] = r.event(fmt.Sprintf(`{"n":%d}`, i))
	}
	return list
}

// batch returns as many events as an attempt may have, up to n, all of one stream if same is set.
func (r *run) batch(n int, same bool) []delivery.Event {
	if r.MaxEvents > 0 {
		n = min(n, r.MaxEvents)
	}
	list := r.numbered(n)
	for i := range list {
		if same {
			list[i].Stream, list[i].Version = list[0].Stream, int64(i)
			list[i].MessageID, list[i].Key = delivery.MessageID(log, list[i].RecordedEvent), list[0].Key
		}
	}
	return list
}

func attempt(events ...delivery.Event) *delivery.Delivery {
	return &delivery.Delivery{Subscription: "big-orders", Events: events, Partition: 3, Epoch: 101}
}

// try is Deliver with a context that ends when patience does.
func (r *run) try(events ...delivery.Event) error { return r.tryIn(r.Context(), attempt(events...)) }

func (r *run) tryIn(ctx context.Context, d *delivery.Delivery) error {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return r.Target.Deliver(patient, d)
}

// deliver fails the test unless the events are delivered.
func (r *run) deliver(events ...delivery.Event) {
	r.Helper()
	if err := r.try(events...); err != nil {
		r.Fatalf("Deliver of %d events, the first at position %d: %v", len(events), events[0].Position, err)
	}
}

// settle delivers an event of its own, after a moment for those who deliver behind the caller's back.
func (r *run) settle() {
	r.Helper()
	r.answers(nil)
	<-time.After(settling)
	r.deliver(r.event(`"settled"`))
}

// settling bounds what faults are found, not what passes: a target without one needs no time.
const settling = 10 * time.Millisecond

// wantOnce fails the test unless each of the events came once, with its type and data.
func (r *run) wantOnce(events ...delivery.Event) {
	r.Helper()
	for _, e := range events {
		came := r.came(e.MessageID)
		if len(came) != 1 {
			r.Fatalf("the event at position %d came %d times, want once", e.Position, len(came))
		}
		if came[0].Type != e.Type || !bytes.Equal(came[0].Data, e.Data) {
			r.Fatalf("the event at position %d came as %s %.100q, want %s %.100q", e.Position, came[0].Type, came[0].Data, e.Type, e.Data)
		}
	}
}

// wantOutcome fails the test unless an error means what it should.
func (r *run) wantOutcome(err error, want delivery.Outcome) time.Duration {
	r.Helper()
	got, after := delivery.OutcomeOf(err)
	if got != want {
		r.Fatalf("the error means %s, want %s: %v", got, want, err)
	}
	return after
}
