package delivery_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/targettest"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

// answering is a store that asks the receiver of a targettest.Fixture before it appends, and a target that
// remembers of which message the event with an id is to be made.
type answering struct {
	*memstore.Store
	*targettest.Fixture
	inner    delivery.Target
	messages sync.Map
}

func (a *answering) Deliver(ctx context.Context, d *delivery.Delivery) error {
	for _, e := range d.Events {
		a.messages.Store(uuid.NewSHA1(e.MessageID, []byte(d.Subscription)), e.MessageID)
	}
	return a.inner.Deliver(ctx, d)
}

func (a *answering) Append(ctx context.Context, what eventstore.StreamAppend, opts eventstore.AppendOptions) (eventstore.Appended, error) {
	e := what.Events[0]
	message, _ := a.messages.Load(e.ID)
	id, _ := message.(uuid.UUID)
	answer := a.Receive(ctx, []targettest.Arrival{{MessageID: id, Type: e.Type, Data: e.Data}})
	switch {
	case slices.Contains(answer.Failed, id), answer.Outcome == delivery.Transient:
		return eventstore.Appended{}, eventstore.ErrUnavailable
	case answer.Outcome == delivery.ThrottledOutcome:
		return eventstore.Appended{}, eventstore.ErrOverloaded
	case answer.Outcome == delivery.PermanentFailure:
		return eventstore.Appended{}, &eventstore.InvalidError{Field: "events", Reason: "the receiver says so"}
	}
	return a.Store.Append(ctx, what, opts)
}

func TestAppendTarget(t *testing.T) {
	targettest.Run(t, func(t *testing.T) *targettest.Fixture {
		a := &answering{Store: memstore.New(memstore.Config{})}
		a.Fixture = &targettest.Fixture{
			Target: a, SaysWhich: true,
			Says: []delivery.Outcome{delivery.Transient, delivery.ThrottledOutcome, delivery.PermanentFailure},
		}
		a.inner = newAppendTarget(t, delivery.AppendTarget{Stream: "copy-{stream}"}, a)
		return a.Fixture
	})
}

func newAppendTarget(t *testing.T, config delivery.AppendTarget, log eventstore.Appender) delivery.Target {
	t.Helper()
	target, err := delivery.NewAppendTarget(config, log)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

var logID = uuid.MustParse("0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000")

// recorded returns an event of the log.
func recorded(stream, data, metadata string) delivery.Event {
	e := &eventstore.RecordedEvent{
		Event: eventstore.Event{
			ID: uuid.New(), Type: "OrderPlaced", SchemaVersion: 2, ContentType: "application/json", Data: []byte(data), Metadata: []byte(metadata),
		},
		Stream: stream,
	}
	return delivery.Event{RecordedEvent: e, MessageID: delivery.MessageID(logID, e), Key: stream, Attempt: 1}
}

func deliverTo(t *testing.T, target delivery.Target, subscription string, events ...delivery.Event) error {
	return target.Deliver(t.Context(), &delivery.Delivery{Subscription: subscription, Events: events})
}

func readStream(t *testing.T, s eventstore.Store, stream string) (events []eventstore.RecordedEvent) {
	t.Helper()
	for e, err := range s.ReadStream(t.Context(), stream, eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatalf("read %s: %v", stream, err)
		}
		events = append(events, e)
	}
	return events
}

// TestAppendTargetAppendsOnce: by the same subscription, whatever was appended since, and although the data is
// gone.
func TestAppendTargetAppendsOnce(t *testing.T) {
	s := memstore.New(memstore.Config{})
	target := newAppendTarget(t, delivery.AppendTarget{Stream: "{category}_all-{id}", Type: "Copied{type}"}, s)
	first, second := recorded("order-1-a", `{"n":1}`, ""), recorded("order-1-a", `{"n":2}`, "")
	emptied := recorded("order-1-a", "", "")
	emptied.ID, emptied.MessageID = first.ID, first.MessageID
	for _, d := range []struct {
		subscription string
		events       []delivery.Event
	}{
		{"copies", []delivery.Event{first}},
		{"copies", []delivery.Event{first, second}},
		{"copies", []delivery.Event{second}},
		{"copies", []delivery.Event{emptied}},
		{"others", []delivery.Event{first}},
	} {
		if err := deliverTo(t, target, d.subscription, d.events...); err != nil {
			t.Fatalf("Deliver: %v", err)
		}
	}
	got := readStream(t, s, "order_all-1-a")
	var data []string
	for _, e := range got {
		data = append(data, string(e.Data))
	}
	if want := []string{`{"n":1}`, `{"n":2}`, `{"n":1}`}; !slices.Equal(data, want) {
		t.Fatalf("the stream has %q, want %q", data, want)
	}
	if e := got[0]; e.Type != "Copied{type}" || e.SchemaVersion != 2 || e.ContentType != "application/json" {
		t.Errorf("the event is %+v", e.Event)
	}
}

func TestAppendTargetMetadata(t *testing.T) {
	for _, c := range []struct{ metadata, want string }{
		{"", `{"causation_id":"ID","recount_hops":1}`},
		{`{"correlation_id":"c","causation_id":"x","big":12345678901234567890,"recount_hops":2}`,
			`{"big":12345678901234567890,"causation_id":"ID","correlation_id":"c","recount_hops":3}`},
		{`{"recount_from":"berlin","recount_hops":1,"recount_origin":{},"recount_via":[]}`, `{"causation_id":"ID","recount_hops":2}`},
		{"\x00", `{"causation_id":"ID","recount_hops":1,"recount_metadata":"AA=="}`},
		{"null", `{"causation_id":"ID","recount_hops":1,"recount_metadata":"bnVsbA=="}`},
	} {
		s := memstore.New(memstore.Config{})
		e := recorded("order-1", "1", c.metadata)
		if err := deliverTo(t, newAppendTarget(t, delivery.AppendTarget{Stream: "copies"}, s), "copies", e); err != nil {
			t.Fatalf("Deliver: %v", err)
		}
		want := strings.ReplaceAll(c.want, "ID", e.ID.String())
		if got := string(readStream(t, s, "copies")[0].Metadata); got != want {
			t.Errorf("of %q becomes %s, want %s", c.metadata, got, want)
		}
	}
}

// TestAppendTargetEndsLoops: two subscriptions that feed each other stop by themselves.
func TestAppendTargetEndsLoops(t *testing.T) {
	s := memstore.New(memstore.Config{})
	target := newAppendTarget(t, delivery.AppendTarget{Stream: "loop", MaxHops: 3}, s)
	var err error
	event := recorded("loop", "1", "")
	hops := 0
	for ; err == nil && hops < 100; hops++ {
		if err = deliverTo(t, target, "loop", event); err == nil {
			all := readStream(t, s, "loop")
			event.RecordedEvent = &all[len(all)-1]
			event.MessageID = delivery.MessageID(logID, event.RecordedEvent)
		}
	}
	if outcome, _ := delivery.OutcomeOf(err); hops != 4 || outcome != delivery.PermanentFailure || !strings.Contains(err.Error(), "max_hops is 3") {
		t.Errorf("attempt %d ends with %v", hops, err)
	}
	err = deliverTo(t, target, "loop", recorded("a-1", "1", `{"recount_hops":"many"}`))
	if outcome, _ := delivery.OutcomeOf(err); outcome != delivery.PermanentFailure {
		t.Errorf("hops that are no number: %v", err)
	}
}

// TestAppendTargetKeepsOrder: nothing passes an event of its key that failed, and the others go on.
func TestAppendTargetKeepsOrder(t *testing.T) {
	s := memstore.New(memstore.Config{})
	target := newAppendTarget(t, delivery.AppendTarget{Stream: "all"}, s)
	a := recorded("a-1", "1", `{"recount_hops":-1}`)
	behind, b := recorded("a-1", "2", ""), recorded("b-1", "3", "")
	var partial *delivery.PartialError
	if err := deliverTo(t, target, "all", a, behind, b); !errors.As(err, &partial) || len(partial.Failed) != 1 || partial.Failed[0] == nil {
		t.Fatalf("Deliver: %v", err)
	}
	if got := readStream(t, s, "all"); len(got) != 1 || string(got[0].Data) != "3" {
		t.Errorf("the stream has %+v", got)
	}
	// A failure of its own is that of the event, not of the batch.
	var invalid *eventstore.InvalidError
	if err := deliverTo(t, newAppendTarget(t, delivery.AppendTarget{Stream: strings.Repeat("{stream}", 60)}, s), "all", recorded("order-10001", "1", "")); !errors.As(err, &invalid) {
		t.Errorf("a name that is too long: %v", err)
	}
}

func TestAppendTargetConfig(t *testing.T) {
	var invalid *delivery.InvalidError
	if _, err := delivery.NewAppendTarget(delivery.AppendTarget{Stream: "copy-{key}"}, nil); !errors.As(err, &invalid) {
		t.Errorf("an unknown placeholder: %v", err)
	}
}
