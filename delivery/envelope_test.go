package delivery_test

import (
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/delivery/pattern"
	"github.com/57528e99/recount/eventstore"
)

// TestEventAsJSON: what receivers get is what they read in the documentation, and what filters are tried with.
func TestEventAsJSON(t *testing.T) {
	id := uuid.MustParse("0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000")
	recorded := &eventstore.RecordedEvent{
		Event: eventstore.Event{
			ID: id, Type: `Order"Placed`, SchemaVersion: 2, ContentType: "application/json",
			Data: []byte("{ \"a\":1.50}"), Metadata: []byte{0xff, 0},
		},
		Stream: "order-1001", Version: 3, Position: 7,
		RecordedAt: time.Date(2026, 1, 2, 16, 4, 5, 120_000_000, time.FixedZone("CET", 3600)),
	}
	message := delivery.MessageID(id, recorded)
	const place = `"position":7,"stream":"order-1001","category":"order","version":3,"id":"0193aaaa-bbbb-7ccc-8ddd-eeeeffff0000",` +
		`"type":"Order\"Placed","schema_version":2,"content_type":"application/json","recorded_at":"2026-01-02T15:04:05.12Z","message_id":"`
	empty := *recorded
	empty.Data, empty.Metadata = nil, nil
	for _, c := range []struct {
		e    delivery.Event
		want string
	}{
		{delivery.Event{RecordedEvent: recorded, MessageID: message, Attempt: 3}, `","data":{ "a":1.50},"metadata_base64":"/wA="}`},
		{delivery.Event{RecordedEvent: &empty, MessageID: message}, `"}`},
	} {
		got := string(c.e.AppendJSON([]byte("[")))
		if want := "[{" + place + message.String() + c.want; got != want {
			t.Errorf("the event is\n%s, want\n%s", got, want)
		}
		if _, err := pattern.ParseEvent([]byte(got[1:])); err != nil {
			t.Errorf("a filter cannot be tried with it: %v", err)
		}
		if e, err := delivery.ParseEvent([]byte(got[1:])); err != nil || string(e.AppendJSON(nil)) != got[1:] {
			t.Errorf("read again it is %+v, %v", e, err)
		}
	}
}
