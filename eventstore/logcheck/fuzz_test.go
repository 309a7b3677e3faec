package logcheck

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/57528e99/recount/eventstore"
)

// FuzzLoad reads any file as a history. What is read can be judged, and what was
// not finished is left out.
func FuzzLoad(f *testing.F) {
	const begin = `{"begin":{"client":"c","op":1,"stream":"a-1","expected":-1,"ids":["018d3f6e-0000-7000-8000-000000000001"],"start":1}}` + "\n"
	f.Add([]byte(begin + `{"end":{"op":1,"at":2,"outcome":"acked","version":0,"position":1}}` + "\n"))
	f.Add([]byte(begin + begin + `{"end":{"op":1,"at":-2,"outcome":"other","version":-9}}` + "\n" + `{"end":`))
	f.Add([]byte(`{"end":{"op":7}}` + "\n"))
	f.Add([]byte(`{"read":{"client":"c","stream":"a-1","from":9223372036854775807,"version":-5,"chain":1,"end":-1}}` + "\n"))
	f.Add([]byte(`{"batch":{"reader":"r","session":-1,"from":-9,"next":9223372036854775807,"positions":[{},{"first":5,"last":1}]}}` + "\n"))
	f.Add([]byte("null\n"))
	l := NewLog(nil)
	for position := range int64(3) {
		l.Add(eventstore.RecordedEvent{Event: eventstore.Event{ID: uuid.MustParse("018d3f6e-0000-7000-8000-00000000000" + fmt.Sprint(position)), Type: "t"},
			Stream: "a-1", Version: position, Position: position + 1, AppendEnd: position + 1})
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		in := loader{names: make(map[string]string), open: make(map[int64]int)}
		if err := readLines(bytes.NewReader(text), in.line); err != nil {
			if !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("%q is refused with %v, want the line", text, err)
			}
			return
		}
		h := in.history
		if records := len(h.Appends) + len(h.Reads) + len(h.Batches); records > strings.Count(string(text), "\n") {
			t.Errorf("%q has %d records", text, records)
		}
		for _, rule := range []func(*History, *Log) []Violation{AckedStored, Unsent, RefusedNotStored, OneWinner, Retries, Together, ReadsOfLog} {
			rule(&h, l)
		}
		Deliveries(&h, l, DeliveryOptions{})
	})
}
