package inbox

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
	"github.com/57528e99/recount/eventstore/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAMessageIsAppendedOnce: by what it is known by, and one that can never be is told of.
func TestAMessageIsAppendedOnce(t *testing.T) {
	log := memstore.New(memstore.Config{})
	config := delivery.Inbox{Name: "payments", Stream: "payment-{key}", Type: "{type}", Kafka: &delivery.KafkaInbox{
		KafkaConnection: delivery.KafkaConnection{Brokers: []string{"localhost:9092"}}, Topics: []string{"payments"}}}
	typed, err := New(config, log, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	config.Name, config.Type = "plain", "PaymentSeen"
	plain, err := New(config, log, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(`{"specversion":"1.0","id":"3","source":"/bank","type":"Paid","datacontenttype":"text/plain; charset=utf-8","data":"\u00e4 \"b\""}`)
	event := []byte(`{"specversion":"1.0","id":"1","source":"/bank","type":"Paid","subject":"p-1","data":{"cents":5}}`)
	for range 2 {
		for _, one := range []struct {
			inbox   *Inbox
			message Message
		}{
			{typed, Message{Key: "a", ContentType: "application/cloudevents+json; charset=utf-8", Body: event}},
			{typed, Message{Key: "a", CloudEvent: map[string]string{"id": "2", "source": "/bank", "type": "Paid"}, ContentType: "text/plain", Body: []byte("x")}},
			{typed, Message{Key: "a", CloudEvent: map[string]string{"id": "2", "source": "/bank", "type": "Paid"}, Body: []byte("y")}}, // another has its id
			{typed, Message{Key: "a", CloudEvent: map[string]string{"id": "2", "source": "/bank", "type": "Paid"}, Body: []byte("z")}}, // as well
			{typed, Message{Key: "a", ContentType: "application/cloudevents+json", Body: text}},
			{typed, Message{Key: "a", Place: "payments/0/7", Body: []byte(`{"cents":1}`)}}, // no type
			{plain, Message{Key: "b", Place: "payments/0/8", Body: []byte(`{"cents":1}`)}},
			{plain, Message{Key: "b", Place: "payments/0/9", Body: []byte{0, 1}}},
			{plain, Message{Place: "payments/0/10"}}, // no key
			{plain, Message{Key: "c", ID: "1"}},
			{plain, Message{Key: "c", ID: "1", Body: []byte("as it was before it was erased")}},
		} {
			if err := one.inbox.Append(t.Context(), []Message{one.message}, func() {}); err != nil {
				t.Fatal(err)
			}
		}
	}
	var got []string
	for e, err := range log.ReadAll(t.Context(), eventstore.ReadOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		text := string(e.Data)
		if e.Type == "MessageRejected" {
			var told struct {
				Reason, Place string
				Data          []byte `json:"data_base64"`
			}
			if err := json.Unmarshal(e.Data, &told); err != nil {
				t.Fatal(err)
			}
			text = told.Place + ": " + told.Reason
			if strings.Contains(text, "event id") {
				text = "reused by " + string(told.Data)
			}
		}
		got = append(got, e.Stream+" "+e.Type+" "+e.ContentType+" "+text)
	}
	want := []string{
		`payment-a Paid application/json {"cents":5}`,
		`payment-a Paid text/plain x`,
		`inbox_rejected-payments MessageRejected application/json reused by y`,
		`inbox_rejected-payments MessageRejected application/json reused by z`,
		`payment-a Paid text/plain; charset=utf-8 ä "b"`,
		`inbox_rejected-payments MessageRejected application/json payments/0/7: the message has nothing for {type}`,
		`payment-b PaymentSeen application/json {"cents":1}`,
		"payment-b PaymentSeen application/octet-stream \x00\x01",
		`inbox_rejected-plain MessageRejected application/json payments/0/10: the message has nothing for {key}`,
		`payment-c PaymentSeen application/octet-stream `,
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log has\n%q, want\n%q", got, want)
	}
}
