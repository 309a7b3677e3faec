package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/57528e99/recount/eventstore"
)

type sqlError string

func (e sqlError) Error() string    { return string(e) }
func (e sqlError) SQLState() string { return string(e) }

func TestErrorsHaveTheClassOfWhatToDo(t *testing.T) {
	codec, err := eventstore.NewCodec(eventstore.TypeOf[struct{}]("Known", 1))
	if err != nil {
		t.Fatal(err)
	}
	decode := func(e eventstore.Event) error {
		_, err := codec.Decode(e)
		return err
	}
	validate := func(e ...eventstore.Event) error {
		return eventstore.Limits{}.Validate([]eventstore.StreamAppend{{Stream: "order-1", Expected: eventstore.Any, Events: e}}, eventstore.AppendOptions{})
	}
	for _, c := range []struct {
		err  error
		want eventstore.Class
	}{
		{nil, eventstore.ClassNone},
		{errors.New("strange"), eventstore.ClassInternal},
		{validate(), eventstore.ClassInvalid},
		{validate(eventstore.Event{Type: "Happened", Data: make([]byte, 2<<20)}), eventstore.ClassTooLarge},
		{validate(make([]eventstore.Event, 1)...), eventstore.ClassInvalid},
		{decode(eventstore.Event{Type: "Unknown"}), eventstore.ClassUnknownSchema},
		{decode(eventstore.Event{Type: "Known", SchemaVersion: 2}), eventstore.ClassUnknownSchema},
		{decode(eventstore.Event{Type: "Known", Data: []byte("{")}), eventstore.ClassUnreadable},
		{fmt.Errorf("append: %w", &eventstore.ConflictError{}), eventstore.ClassConflict},
		{&eventstore.StreamDeletedError{}, eventstore.ClassDeleted},
		{&eventstore.StreamDeletedError{Tombstoned: true}, eventstore.ClassDeleted},
		{&eventstore.ReceiptMismatchError{}, eventstore.ClassReused},
		{&eventstore.LogChangedError{}, eventstore.ClassWrongLog},
		// What is to be done about the first of two is what helps.
		{fmt.Errorf("%w: %w", eventstore.ErrUnavailable, eventstore.ErrLogMoved), eventstore.ClassAppendsDisabled},
		{fmt.Errorf("%w: %w", eventstore.ErrUnavailable, eventstore.ErrReadOnly), eventstore.ClassReadOnly},
		{fmt.Errorf("%w: %w", eventstore.ErrOutcomeUnknown, eventstore.ErrUnavailable), eventstore.ClassOutcomeUnknown},
		{fmt.Errorf("%w: %w", eventstore.ErrUnavailable, context.DeadlineExceeded), eventstore.ClassUnavailable},
		{fmt.Errorf("look: %w", context.DeadlineExceeded), eventstore.ClassTimeout},
		{errors.Join(&net.OpError{Err: context.Canceled}), eventstore.ClassCancelled},
		{fmt.Errorf("look: %w", sqlError("57014")), eventstore.ClassTimeout},
		{fmt.Errorf("look: %w", sqlError("25006")), eventstore.ClassReadOnly},
		{fmt.Errorf("look: %w", sqlError("08006")), eventstore.ClassUnavailable},
		{sqlError("22P02"), eventstore.ClassInternal},
	} {
		if got := eventstore.ClassOf(c.err); got != c.want {
			t.Errorf("ClassOf(%v) = %v, want %v", c.err, got, c.want)
		}
	}
}

func TestClassesHaveNames(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range eventstore.Classes() {
		if name := c.String(); name == "" || seen[name] {
			t.Errorf("class %d is called %q, want a name of its own", c, name)
		}
		seen[c.String()] = true
	}
}
