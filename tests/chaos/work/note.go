package work

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// NoteType is the type of all events that writers append.
const NoteType = "ChaosNoted"

// Noted is what a writer's event says. All of it follows from its id, so that a
// process that begins anew can repeat an append that another one began.
type Noted struct {
	// ID is what the writer knows the event by, whether the store does or not.
	ID uuid.UUID `json:"id"`
	// Amount is something to add up.
	Amount int64  `json:"amount"`
	Text   string `json:"text"`
}

// newID makes an id. Its last bit says whether the store is told of it.
func newID(rng *rand.Rand, supplied bool) (id uuid.UUID) {
	binary.BigEndian.PutUint64(id[:8], rng.Uint64())
	binary.BigEndian.PutUint64(id[8:], rng.Uint64())
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	id[15] &^= 1
	if supplied {
		id[15] |= 1
	}
	return id
}

func isSupplied(id uuid.UUID) bool { return id[15]&1 == 1 }

// eventOf returns the event with an id.
func eventOf(id uuid.UUID) eventstore.Event {
	amount := int64(binary.BigEndian.Uint16(id[:2]))
	text := strings.Repeat("chaos ", int(id[3])%30)
	e := eventstore.Event{Type: NoteType, Data: fmt.Appendf(nil, `{"id":"%s","amount":%d,"text":"%s"}`, id, amount, text)}
	if isSupplied(id) {
		e.ID = id
	}
	return e
}

func eventsOf(ids []uuid.UUID) []eventstore.Event {
	events := make([]eventstore.Event, len(ids))
	for i, id := range ids {
		events[i] = eventOf(id)
	}
	return events
}

// Identify returns the id that a writer knows an event by; uuid.Nil if it is
// none of a writer's.
func Identify(e *eventstore.RecordedEvent) uuid.UUID {
	text, ok := bytes.CutPrefix(e.Data, []byte(`{"id":"`))
	if e.Type != NoteType || !ok || len(text) < 36 {
		return uuid.Nil
	}
	id, err := uuid.ParseBytes(text[:36])
	if err != nil {
		return uuid.Nil
	}
	return id
}
