package projections

import (
	"errors"
	"strings"
	"testing"

	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/operations"
)

// exploding is an event whose decoding panics.
type exploding struct{}

func (*exploding) UnmarshalJSON([]byte) error { panic("an event that explodes") }

// TestADecoderThatPanicsStopsTheProjection and nothing else: not the program, and what runs in it
// beside.
func TestADecoderThatPanicsStopsTheProjection(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var err error
	b.codec, err = eventstore.NewCodec(eventstore.TypeOf[deposited]("Deposited", 1), eventstore.TypeOf[exploding]("Exploding", 1))
	if err != nil {
		t.Fatal(err)
	}
	f := newTotals("totals")
	Upsert(f, ByID, func(*totals, exploding, Recorded) error { return nil })
	b.append("account-1", deposited{Amount: 1})
	bad := b.append("account-1", eventstore.Event{Type: "Exploding", SchemaVersion: 1, Data: []byte(`{}`)})
	r := b.start(b.runner(f))
	s := b.reaches("totals", operations.Failed, 1)
	if s.Failure.Position != bad.Position || !strings.Contains(s.Failure.Error, "an event that explodes") {
		t.Errorf("the failure is %+v, want the panic at position %d", s.Failure, bad.Position)
	}
	_, err = r.Run(t.Context(), operations.Request{Kind: Rebuild, Subject: "totals", Actor: "test"}, nil)
	var failed *operations.EndedError
	if !errors.As(err, &failed) || !strings.Contains(failed.Operation.Error, "an event that explodes") {
		t.Errorf("Run = %v, want *operations.EndedError with the panic", err)
	}
}
