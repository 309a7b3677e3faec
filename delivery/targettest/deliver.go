package targettest

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/57528e99/recount/delivery"
	"github.com/57528e99/recount/eventstore"
)

var deliveryClauses = []clause{
	{"delivers an event once, before it returns", nil, deliversOnce},
	{"delivers again what it is told to deliver again", nil, deliversAgain},
	{"delivers all events of a batch in order", severalEvents, deliversInOrder},
	{"delivers what is no JSON, empty or odd, byte for byte", nil, deliversOddData},
	{"delivers a big event", nil, deliversBigEvents},
	{"delivers what an attempt says beside the event", func(f *Fixture) bool { return f.Marks }, deliversMarks},
	{"delivers for many callers at once, each what it was given", nil, deliversConcurrently},
	{"leaves what it was given as it is", nil, changesNothing},
	{"keeps nothing of what it was given", nil, keepsNothing},
}

func severalEvents(f *Fixture) bool { return f.MaxEvents != 1 }

func deliversOnce(r *run) {
	e := r.event(`{"total_minor":9000}`)
	r.deliver(e)
	r.wantOnce(e)
	r.settle()
	r.wantOnce(e)
}

// A target that remembers what it delivered would take a replay for a repetition. Receivers may.
func deliversAgain(r *run) {
	e := r.event(`{"total_minor":9000}`)
	r.deliver(e)
	e.Attempt++
	r.deliver(e)
	want := 2
	if r.Remembers {
		want = 1
	}
	if n := len(r.came(e.MessageID)); n != want {
		r.Fatalf("an event that was delivered twice came %d times, want %d", n, want)
	}
}

func deliversInOrder(r *run) {
	for _, same := range []bool{true, false} {
		batch := r.batch(100, same)
		before := len(r.came())
		r.deliver(batch...)
		came := r.came()[before:]
		inOrder := slices.EqualFunc(came, batch, func(a Arrival, e delivery.Event) bool { return a.MessageID == e.MessageID })
		if !inOrder && (same || !r.Stores) { // a broker may have several queues
			r.Fatalf("of a batch of %d events %d came, or in another order", len(batch), len(came))
		}
		r.wantOnce(batch...)
	}
}

func deliversOddData(r *run) {
	for _, odd := range []struct{ contentType, data string }{
		{"application/json", ""},
		{"application/json", "null"},
		{"application/json", `""`},
		{"application/json", "{\"b\" : 1,\n\t\"a\":[ 1.0, 1e400, 12345678901234567890 ],\"a\":\"<&>\\u0000\\u2028\" }"},
		{"application/json", `"🦀` + "\u2028" + `"`},
		{"application/json", `{"cut":`},
		{"application/json", "\"\xff\xfe\""},
		{"application/json", `"` + "\x00" + `"`},
		{"application/json", `["\ud800"]`},
		{"text/plain", `12`},
		{"text/plain; charset=utf-8", "naïve ☃"},
		{"application/octet-stream", "\x00\x01\x02\xff"},
		{"application/x-protobuf", "\x0a\x03abc\x00"},
		{`no content "type" at all, ☃`, "x"},
		{"application/vnd.acme.order+json", `{"a":1}`},
	} {
		e := r.event(odd.data)
		e.ContentType = odd.contentType
		e.Type = `Ünusual "type", 100 % <odd>`
		e.Stream = `order-#1/ü?&"'\%`
		e.Metadata = []byte(odd.data)
		e.MessageID = delivery.MessageID(log, e.RecordedEvent)
		r.deliver(e)
		r.wantOnce(e)
	}
}

func deliversBigEvents(r *run) {
	limit := eventstore.Limits{}.WithDefaults().EventBytes
	for _, data := range []string{
		`"` + strings.Repeat("x", limit/2) + `"`,
		strings.Repeat("\x00", limit/2),
	} {
		e := r.event(data)
		r.deliver(e)
		r.wantOnce(e)
	}
}

func deliversMarks(r *run) {
	plain, marked := r.event("1"), r.event("2")
	marked.Attempt, marked.Redrive = 7, true
	r.deliver(plain)
	d := attempt(marked)
	d.Replay, d.Epoch = "replay-1", 102
	if err := r.tryIn(r.Context(), d); err != nil {
		r.Fatalf("Deliver: %v", err)
	}
	for _, want := range []Arrival{
		{MessageID: plain.MessageID, Subscription: "big-orders", Position: plain.Position, Epoch: 101, Attempt: 1},
		{MessageID: marked.MessageID, Subscription: "big-orders", Position: marked.Position, Epoch: 102, Attempt: 7, Redrive: true, Replay: "replay-1"},
	} {
		got := r.came(want.MessageID)
		for i := range got {
			got[i].Type, got[i].Data = "", nil
		}
		if !reflect.DeepEqual(got, []Arrival{want}) {
			r.Fatalf("the event came as\n%+v, want\n%+v", got, want)
		}
	}
}

func deliversConcurrently(r *run) {
	const callers, each = 16, 10
	events := r.numbered(callers * each)
	// What is at an odd position fails, if the receiver can say so.
	failing := slices.Contains(r.Says, delivery.Transient)
	fails := make(map[uuid.UUID]bool)
	for _, e := range events {
		fails[e.MessageID] = failing && e.Position%2 == 1
	}
	r.answers(answerEach(func(a Arrival) Answer {
		if fails[a.MessageID] {
			return Answer{Outcome: delivery.Transient}
		}
		return Answer{}
	}))
	var wg sync.WaitGroup
	for caller := range callers {
		wg.Go(func() {
			for _, e := range events[caller*each : (caller+1)*each] {
				if err := r.try(e); (err != nil) != fails[e.MessageID] {
					r.Errorf("Deliver of position %d: %v; an error is wanted: %t", e.Position, err, fails[e.MessageID])
				}
			}
		})
	}
	wg.Wait()
	r.wantOnce(events...)
}

func changesNothing(r *run) {
	batch := r.batch(3, false)
	given := attempt(batch...)
	before := describe(given)
	if err := r.tryIn(r.Context(), given); err != nil {
		r.Fatalf("Deliver: %v", err)
	}
	if after := describe(given); after != before {
		r.Fatalf("what was given is\n%s after delivery, it was\n%s", after, before)
	}
}

func describe(d *delivery.Delivery) string {
	text := fmt.Sprintf("%s %d %d %s", d.Subscription, d.Partition, d.Epoch, d.Replay)
	for _, e := range d.Events {
		// With all that the slices could hide.
		text += fmt.Sprintf("\n%+v %q %q", e, e.Data[:cap(e.Data)], e.Metadata[:cap(e.Metadata)])
	}
	return text
}

// Who calls may use the memory again as soon as Deliver has returned.
func keepsNothing(r *run) {
	batch := r.batch(3, false)
	for i := range batch {
		batch[i].Data = append(make([]byte, 0, 100), batch[i].Data...)
	}
	want := make([][]byte, len(batch))
	for i, e := range batch {
		want[i] = bytes.Clone(e.Data)
	}
	given := slices.Clone(batch)
	r.deliver(given...)
	for i := range given {
		clear(given[i].Data)
		given[i] = delivery.Event{}
	}
	r.settle()
	for i, e := range batch {
		if came := r.came(e.MessageID); len(came) != 1 || !bytes.Equal(came[0].Data, want[i]) {
			r.Fatalf("event %d came as %v after its memory was used again, want %q", i, came, want[i])
		}
	}
}
